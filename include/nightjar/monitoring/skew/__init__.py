"""Training-serving skew: whether the features that were served are those that would be trained on."""
