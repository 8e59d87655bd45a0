"""Benchmark of scoring: floats only, with reason codes."""
