"""Monitoring: profiles of columns, drift between two of them, and the page that says so."""
