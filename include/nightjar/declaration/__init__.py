"""Declarations of a use case, each checked when it is created. Standard library only."""
