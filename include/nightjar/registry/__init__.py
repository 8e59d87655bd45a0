"""Registry: models by version and alias in MLflow, fetched and checked."""
