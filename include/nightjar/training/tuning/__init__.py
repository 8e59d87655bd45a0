"""Search of parameters and selection of features."""
