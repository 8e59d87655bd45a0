"""Features as known at the prediction moment, in Spark: for the ``features`` module of a use case."""
