"""Training-serving skew: differences between served features and those that training reads."""
