"""Where a training program runs: on this machine, or as a Job of a Kubernetes cluster."""
