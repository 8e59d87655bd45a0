"""Triggers: they wait for remote work without a worker."""
