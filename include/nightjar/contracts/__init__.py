"""What Airflow, the programs and the use cases agree on. Standard library only."""
