"""Scoring: what runs in the workers, and the audit of what they wrote."""
