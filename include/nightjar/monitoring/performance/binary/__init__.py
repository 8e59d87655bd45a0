"""Performance of yes/no questions."""
