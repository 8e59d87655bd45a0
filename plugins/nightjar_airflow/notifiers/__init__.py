"""Notifiers of failures, incidents and missed deadlines."""
