"""Profiles of columns: histograms, moments and quantile sketches of fixed size."""
