"""Series of items; the declaration that ``benchmarks/forecast.py`` forecasts."""
