"""Experiments (A/B): the difference between variants, and the report on it."""
