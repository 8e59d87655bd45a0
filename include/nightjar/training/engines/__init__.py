"""Engines: what trains a model, and the model that comes out."""
