"""Hyperparameter search and feature selection."""
