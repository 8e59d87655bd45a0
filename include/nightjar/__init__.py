"""Nightjar's library: contracts, lake, validation, training, evaluation, registry and monitoring.

It never imports Airflow, and importing it costs neither Spark nor torch: heavy libraries are imported inside the
functions that use them.
"""
