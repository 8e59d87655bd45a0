"""Rankings: metrics of the first items of each group."""
