"""Rankings: their metrics of nights, and words about them."""
