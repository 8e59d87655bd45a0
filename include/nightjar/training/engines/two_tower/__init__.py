"""Rankings by two towers: one network for the group, one for the item."""
