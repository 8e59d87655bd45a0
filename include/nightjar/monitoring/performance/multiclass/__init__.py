"""Performance of predictions of one of several classes."""
