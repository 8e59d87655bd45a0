"""Settings of a deployment, from the environment. Standard library only."""
