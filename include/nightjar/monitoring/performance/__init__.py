"""Performance: how good scores were once labels are known, what to expect before, and the reports on it."""
