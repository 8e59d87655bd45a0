"""Scoring in Spark workers, and the audit of the written scores."""
