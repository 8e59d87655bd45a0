"""Kinds of bad data, applied to real nights of flights: what each must bring about, and what it does."""
