"""Links from tasks to their results."""
