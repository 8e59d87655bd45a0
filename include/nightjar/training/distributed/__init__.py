"""Ranks of one training: launch, rendezvous, collective, checkpoints and termination."""
