"""What the author of a use case declares, checked where it is declared. Standard library only."""
