"""What Airflow and the programs exchange: job specs, results, errors, and the files of a run. Standard library only."""
