"""A made-up use case with twenty inputs."""
