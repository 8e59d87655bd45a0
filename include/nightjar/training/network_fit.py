"""Training a network over all ranks: epoch by epoch, with the exact validation AUC, early stopping, and checkpoints."""

from __future__ import annotations

from nightjar.contracts.errors import ConfigurationError
from nightjar.contracts.training import Network
from nightjar.training.checkpoint import Checkpoints
from nightjar.training.fitted import Fitted
from nightjar.training.progress import Progress
from nightjar.training.rendezvous import Group
from nightjar.training.shards import Shard
from nightjar.training.training_set import TrainingSet


def fit_network(
    train: Shard,
    validation: Shard,
    training_set: TrainingSet,
    engine: Network,
    *,
    group: Group,
    threads: int,
    checkpoints: Checkpoints | None,
    progress: Progress,
) -> Fitted:
    """Train together with the other ranks; arguments as of :func:`nightjar.training.boosting.boost`."""
    raise ConfigurationError("networks cannot be trained yet", where="training.engines", fix="declare Boosting only")
