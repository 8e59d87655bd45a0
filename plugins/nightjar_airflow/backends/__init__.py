"""Backends of training programs: this machine, or a Job on Kubernetes."""
