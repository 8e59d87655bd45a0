"""The flights of an airport that are worth watching tomorrow: a ranking on the flights of ``flight_delay``."""
