"""Checks of what lands and of what a table holds; the rules themselves are declared in the use case."""
