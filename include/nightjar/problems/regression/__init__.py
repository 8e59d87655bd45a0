"""Numbers: their metrics, quantiles and decisions."""
