"""Nightjar's operators, hooks, links and views for Airflow. They decide where a program runs, not what it does."""
