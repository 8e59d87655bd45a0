"""Performance of regressions."""
