"""Arrival delays in minutes: a regression with quantiles on the flights of ``flight_delay``."""
