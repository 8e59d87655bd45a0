"""Evaluation: metrics of probabilities, and the verdict that they lead to."""
