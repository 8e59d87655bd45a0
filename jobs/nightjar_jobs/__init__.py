"""Training programs: ``python -m nightjar_jobs.<program> --spec <uri>`` under the launch contract."""
