"""Incidents: lifecycle, notifications, and requests for retraining."""
