"""The contract between Airflow and its programs."""
