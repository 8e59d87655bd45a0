"""Kinds of bad data, applied to real nights of flights, with the expected and the actual outcome."""
