"""Nightjar's operators, hooks, links and views for Airflow. Thin: they say where a program runs, not what it does."""
