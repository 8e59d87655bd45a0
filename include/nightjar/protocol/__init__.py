"""The contract between Airflow, Spark and the training programs."""
