"""Fit the engines of a training's recipe, each from its last checkpoint."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

from nightjar.declaration.engines import DeclaredEngine
from nightjar.protocol.job import JobSpec
from nightjar.timing import timed
from nightjar.training.data.training_set import TrainingSet
from nightjar.training.distributed.checkpoint import Checkpoints
from nightjar.training.distributed.progress import Progress, Report, silent
from nightjar.training.engines.context import TrainingContext
from nightjar.training.engines.fitted import Fitted
from nightjar.training.engines.registry import ENGINES

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class FittedEngines:
    """The recipe's engines, trained.

    Attributes:
        engines: Trained members; the same on each rank.
        rows_per_second: Name of the member to training rows times rounds per second.
    """

    engines: tuple[Fitted, ...]
    rows_per_second: dict[str, float]


def fit_engines(spec: JobSpec, context: TrainingContext, report: Report, seconds: dict[str, float]) -> FittedEngines:
    """Train each engine of the recipe; all ranks call it, inside the collective.

    Args:
        spec: The training's job.
        context: Rows and base of this rank.
        report: Receives the metrics of each round.
        seconds: Receives the wall-clock seconds of each member, as ``train_<name>``.
    """
    training_set = context.training_set
    say = log.info if context.group.contract.rank == 0 else silent
    engines, rows_per_second = [], {}
    rows = sum(context.group.exchange(context.train.rows))
    for engine, recipe in training_set.recipe.bagged:
        progress = Progress(engine.name, context.metric.metric, rows, say, report)
        with timed(seconds, f"train_{engine.name}"):
            engine_context = replace(
                context,
                training_set=replace(training_set, recipe=recipe),
                progress=progress,
                checkpoints=_checkpoints(spec, training_set, engine),
                start=context.base.member(engine.name) if context.base else None,
            )
            engines.append(ENGINES[engine.kind].fit(engine, engine_context))
        if progress.rows_per_second:  # an engine without rounds has no speed
            rows_per_second[engine.name] = progress.rows_per_second
    return FittedEngines(engines=tuple(engines), rows_per_second=rows_per_second)


def clear_checkpoints(spec: JobSpec, training_set: TrainingSet) -> None:
    """Remove the engines' checkpoints, once the models are saved."""
    for engine, _ in training_set.recipe.bagged:
        _checkpoints(spec, training_set, engine).clear()


def _checkpoints(spec: JobSpec, training_set: TrainingSet, engine: DeclaredEngine) -> Checkpoints:
    """Return an engine's checkpoints; the number of threads is not part of their identity."""
    identity = {"spec": spec.fingerprint, "training_set": training_set.sha256, "world_size": spec.world_size}
    return Checkpoints.of(spec, engine.name, {**identity, "engine": ENGINES[engine.kind].library_version()})
