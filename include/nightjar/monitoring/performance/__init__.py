"""Performance of scores: metrics with labels, estimates before, and the reports."""
