"""The page of a training's holdout, for MLflow: metrics, plots by problem type, and what each feature is worth."""
