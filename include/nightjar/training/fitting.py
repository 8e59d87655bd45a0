"""Fit the engines of a training's recipe, each from its last checkpoint."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

from nightjar.declaration.training import DeclaredEngine
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
        engines: Trained member of each engine; the same on each rank.
        rows_per_second: Kind of the engine to training rows times rounds per second.
    """

    engines: tuple[Fitted, ...]
    rows_per_second: dict[str, float]


def fit_engines(spec: JobSpec, context: TrainingContext, report: Report, seconds: dict[str, float]) -> FittedEngines:
    """Train each engine of the recipe; all ranks call it, inside the collective.

    Args:
        spec: The training's job.
        context: Rows and base of this rank.
        report: Receives the metrics of each round.
        seconds: Receives the wall-clock seconds of each engine, as ``train_<kind>``.
    """
    training_set = context.training_set
    say = log.info if context.group.contract.rank == 0 else silent
    engines, rows_per_second = [], {}
    for engine in training_set.recipe.engines:
        progress = Progress(engine.kind, context.metric.metric, training_set.train.rows, say, report)
        with timed(seconds, f"train_{engine.kind}"):
            engine_context = replace(context, progress=progress, checkpoints=_checkpoints(spec, training_set, engine))
            engines.append(ENGINES[engine.kind].fit(engine, engine_context))
        if progress.rows_per_second:  # an engine without rounds has no speed
            rows_per_second[engine.kind] = progress.rows_per_second
    return FittedEngines(engines=tuple(engines), rows_per_second=rows_per_second)


def clear_checkpoints(spec: JobSpec, training_set: TrainingSet) -> None:
    """Remove the engines' checkpoints, once the models are saved."""
    for engine in training_set.recipe.engines:
        _checkpoints(spec, training_set, engine).clear()


def _checkpoints(spec: JobSpec, training_set: TrainingSet, engine: DeclaredEngine) -> Checkpoints:
    """Return an engine's checkpoints; the number of threads is not part of their identity."""
    identity = {"spec": spec.fingerprint, "training_set": training_set.sha256, "world_size": spec.world_size}
    return Checkpoints.of(spec, engine.kind, {**identity, "engine": ENGINES[engine.kind].library_version()})
