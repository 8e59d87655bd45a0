"""Training programs as Kubernetes Jobs: settings, manifests, watching, and what went wrong."""
