"""Dispatch from an engine's declaration to its training function."""

from __future__ import annotations

from collections.abc import Callable

from nightjar.declaration.training import Engine, Network
from nightjar.training.data.shards import Shard
from nightjar.training.data.training_set import TrainingSet
from nightjar.training.distributed.checkpoint import Checkpoints
from nightjar.training.distributed.progress import Progress
from nightjar.training.distributed.rendezvous import Group
from nightjar.training.engines.boosting import fit as boosting
from nightjar.training.engines.fitted import Fitted
from nightjar.training.engines.network import fit as network_fit
from nightjar.training.model import TabularModel


def fit(
    engine: Engine,
    train: Shard,
    validation: Shard,
    training_set: TrainingSet,
    *,
    group: Group,
    threads: int,
    checkpoints: Checkpoints | None,
    progress: Progress,
    base: TabularModel | None = None,
) -> Fitted:
    """Train ``engine`` on this rank's shards together with the other ranks.

    See :func:`nightjar.training.engines.boosting.fit.boost` for the arguments.

    Raises:
        TrainingError: when a rank or the engine fails, or predictions are not finite.
        StorageFullError: when a checkpoint cannot be saved.
    """
    train_engine: Callable[..., Fitted] = network_fit.fit_network if isinstance(engine, Network) else boosting.boost
    return train_engine(
        train,
        validation,
        training_set,
        engine,
        group=group,
        threads=threads,
        checkpoints=checkpoints,
        progress=progress,
        base=base,
    )


def engine_version(engine: Engine) -> str:
    """Return name and version of the engine's library.

    Raises:
        ConfigurationError: when it is not installed.
    """
    if isinstance(engine, Network):
        return network_fit.engine_version()
    return boosting.engine_version()
