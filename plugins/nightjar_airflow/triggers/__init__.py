"""Triggers, which wait for remote work without a worker."""
