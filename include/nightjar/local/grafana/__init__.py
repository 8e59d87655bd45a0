"""The Grafana dashboard, the StatsD mapping and the table of metrics, from one declaration."""
