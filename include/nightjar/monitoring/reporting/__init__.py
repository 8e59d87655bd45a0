"""Templates and formatting shared by all reports."""
