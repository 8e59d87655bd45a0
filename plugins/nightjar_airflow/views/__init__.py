"""Pages that the Airflow server shows, one public class a file."""
