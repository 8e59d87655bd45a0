"""Drift: whether a night looks like the training set, and the report on it."""
