"""Stands in for the project's use cases where `make bench-train` starts ranks."""
