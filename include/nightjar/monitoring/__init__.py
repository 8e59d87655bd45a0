"""Monitoring: data quality, drift, skew, performance, experiments, incidents, and their reports."""
