"""Benchmark of scoring: floats only."""
