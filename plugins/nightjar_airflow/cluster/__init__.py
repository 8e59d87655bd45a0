"""Training programs as Kubernetes Jobs: settings, manifests, watching, and diagnosis of failures."""
