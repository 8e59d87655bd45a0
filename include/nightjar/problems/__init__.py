"""What computes with a problem type: one package for each type, one registry."""
