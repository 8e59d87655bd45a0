"""Read what a rank trains on: its rows, and the base of a warm start."""

from __future__ import annotations

import logging

from nightjar.lake.lake import Lake
from nightjar.protocol.job import JobSpec
from nightjar.timing import timed
from nightjar.training.data.shards import read_shard
from nightjar.training.data.training_set import TrainingSet, training_set_uri
from nightjar.training.distributed.agreement import check_same_data, check_shards
from nightjar.training.distributed.progress import Progress, silent
from nightjar.training.distributed.rendezvous import Group
from nightjar.training.engines.context import TrainingContext
from nightjar.training.engines.validation import ValidationMetric
from nightjar.training.warm_start import load_base

log = logging.getLogger(__name__)


def read_context(spec: JobSpec, training_set: TrainingSet, group: Group, seconds: dict[str, float]) -> TrainingContext:
    """Read this rank's rows and the base, and check with the other ranks that the rows are the frozen ones.

    Args:
        spec: The training's job.
        training_set: The frozen training set.
        group: The ranks.
        seconds: Receives the wall-clock seconds of reading, as ``read``.

    Returns:
        Context without progress output and without checkpoints, which each engine has for itself.

    Raises:
        TrainingError: when the ranks have different training sets, a rank has no rows, or the base does not fit.
        RowCountError: when the rows differ from the frozen ones.
    """
    lake, where = Lake(spec.lake), training_set_uri(spec)
    rank, world_size = group.contract.rank, group.contract.world_size
    check_same_data(group, training_set, where=where)
    with timed(seconds, "read"):
        train = read_shard(lake, training_set, training_set.train, rank, world_size)
        validation = read_shard(lake, training_set, training_set.validation, rank, world_size)
        check_shards(group, training_set, train, validation, where=where)
        base = load_base(lake, training_set)
    if rank == 0:
        log.info("%d ranks, %d training rows, %d features", world_size, training_set.train.rows, train.columns)
    metric = ValidationMetric.of(training_set.recipe).metric
    return TrainingContext(
        train=train,
        validation=validation,
        training_set=training_set,
        group=group,
        threads=spec.threads_per_rank,
        progress=Progress("training", metric, training_set.train.rows, silent, silent),
        base=base,
    )
