"""Training data: the frozen training set, its shards, and the matrix that engines read."""
