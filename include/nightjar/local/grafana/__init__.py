"""The Grafana dashboard, the mapping of StatsD's names and the table of metrics, made from one declaration."""
