"""Training: the frozen training set, the shards, the collective, and the model that comes out."""
