"""Checks of landed files and of tables, against the rules that a use case declares."""
