"""Drift of a night against the training set, and its report."""
