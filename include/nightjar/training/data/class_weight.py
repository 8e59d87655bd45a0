"""Weight of positive rows that balances both classes."""

from __future__ import annotations

from nightjar.problems.binary.problem import POSITIVES
from nightjar.training.data.shards import Shard
from nightjar.training.distributed.rendezvous import Group


def event_weight(train: Shard, group: Group) -> float:
    """Return negatives per positive over all ranks' training rows; all ranks call it.

    It is XGBoost's ``scale_pos_weight`` and the network's ``pos_weight``.
    """
    counts = group.exchange([train.rows, train.labels[POSITIVES]])
    rows, positives = (sum(count[i] for count in counts) for i in (0, 1))
    return float((rows - positives) / positives)
