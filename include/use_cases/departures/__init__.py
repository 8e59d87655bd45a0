"""Departures of the coming week: the smallest use case with forecasts of series."""
