"""A/B experiments: analysis, table and report."""
