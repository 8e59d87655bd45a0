"""Profiles of columns: what a table's columns looked like, in numbers of fixed size."""
