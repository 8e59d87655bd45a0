"""Backends of programs of ``nightjar_jobs``: this machine, or a Job on Kubernetes."""
