"""What a deployment sets, from the environment. Standard library only."""
