"""Handwritten digits: the smallest use case with several classes."""
