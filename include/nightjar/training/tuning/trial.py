"""One trial: time-ordered cross-validation of an engine with given parameters on the training days."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from nightjar.declaration.engines import DeclaredEngine
from nightjar.declaration.training import Tuning
from nightjar.lake.lake import Lake
from nightjar.problems.registry import problem_type
from nightjar.protocol.errors import TrainingError
from nightjar.training.data.folds import forward_chain
from nightjar.training.data.shards import Shard, check_counts, read_shard
from nightjar.training.data.training_set import TrainingSet
from nightjar.training.distributed.progress import Progress, silent
from nightjar.training.distributed.rendezvous import Group
from nightjar.training.engines.context import TrainingContext
from nightjar.training.engines.registry import ENGINES
from nightjar.training.engines.validation import ValidationMetric


@dataclass(frozen=True, kw_only=True)
class FoldRows:
    """The rows of one fold: views of one shard that is read once for all folds and trials."""

    train: Shard
    validation: Shard


def read_folds(lake: Lake, training_set: TrainingSet, tuning: Tuning, *, where: str) -> tuple[FoldRows, ...]:
    """Read the training days and cut them into folds; validation and holdout days are not read.

    Raises:
        TrainingError: when there are too few days, or a fold has labels that cannot be trained on.
        RowCountError: when the rows differ from the frozen ones.
        StorageFullError: when the scratch disk is full.
    """
    split = training_set.train
    shard = read_shard(lake, training_set, split)
    check_counts("train", split, shard.rows + shard.left_out, shard.labels, where=where)
    problem = problem_type(training_set.recipe.problem)
    position = {day: batch for batch, day in enumerate(split.days)}
    folds = []
    gap_days = tuning.gap(training_set.label_horizon_nights)
    for fold in forward_chain(split.days, folds=tuning.folds, gap_days=gap_days, where=where):
        rows = FoldRows(
            train=shard.view(position[day] for day in fold.train).rescaled(),
            validation=shard.view(position[day] for day in fold.validation),
        )
        for part, days, obstacle in (
            (rows.train, fold.train, problem.obstacle_to_training),
            (rows.validation, fold.validation, problem.obstacle_to_measuring),
        ):
            if reason := obstacle(part.rows, part.labels):
                raise TrainingError(
                    f"a fold has {reason}",
                    where=f"{where}, days {days[0]} to {days[-1]}",
                    how_many=part.rows,
                    fix="declare fewer folds in training.tuning, or widen the interval until all kinds of labels occur",
                )
        folds.append(rows)
    return tuple(folds)


def cross_validate(
    engine: DeclaredEngine, folds: tuple[FoldRows, ...], training_set: TrainingSet, *, group: Group, threads: int
) -> Iterator[float]:
    """Train ``engine`` on each fold in turn; yield its validation metric on the days that follow.

    Trains without a warm start: the base may have been trained on the validation days of a fold.

    Args:
        engine: The engine with the trial's parameters.
        folds: Folds of :func:`read_folds`.
        training_set: Features, and the rest of the recipe.
        group: A group of this single rank.
        threads: Threads of this rank.

    Raises:
        TrainingError: when the engine fails, or predictions are not finite.
    """
    metric = ValidationMetric.of(training_set.recipe).metric
    without_base = replace(training_set, recipe=replace(training_set.recipe, base=None))
    for fold in folds:
        context = TrainingContext(
            train=fold.train,
            validation=fold.validation,
            training_set=without_base,
            group=group,
            threads=threads,
            progress=Progress(engine.name, metric, fold.train.rows, silent, silent),
        )
        fitted = ENGINES[engine.kind].fit(engine, context)
        yield fitted.card.validation_score
