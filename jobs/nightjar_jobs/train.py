"""Train a model on all ranks: ``python -m nightjar_jobs.train --spec <uri>``, started by a launcher."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from nightjar.declaration.use_case import UseCase, load_use_case
from nightjar.lake import ledger
from nightjar.lake.lake import Lake
from nightjar.lake.results import finished_result
from nightjar.monitoring.profiles.profile import Profile
from nightjar.monitoring.profiles.training import add_predictions, profile_predictions, read_training_profile
from nightjar.protocol.documents import reading
from nightjar.protocol.job import JobResult, JobSpec
from nightjar.protocol.results import CompressedModelFiles, TrainResult
from nightjar.registry.live import LiveRun
from nightjar.registry.models import FINGERPRINT_TAG
from nightjar.timing import timed
from nightjar.training.baselines import fit_baselines
from nightjar.training.compression import CompressedModel, compress
from nightjar.training.data.training_set import TrainingSet
from nightjar.training.distributed.collective import collective
from nightjar.training.distributed.failures import send_failures
from nightjar.training.distributed.memory import peak_memory
from nightjar.training.distributed.progress import Report, silent
from nightjar.training.distributed.rendezvous import Group, LaunchContract
from nightjar.training.engines.context import TrainingContext
from nightjar.training.ensemble.members import combine
from nightjar.training.fitting import clear_checkpoints, fit_engines
from nightjar.training.model import TabularModel
from nightjar.training.reading import read_context
from nightjar.training.saving import MODEL, TrainedModels, save_compressed, save_models
from nightjar_jobs.runner import main

log = logging.getLogger(__name__)


def run(spec: JobSpec) -> JobResult:
    """Train the model of ``spec.use_case`` on the run's frozen training set, as one of its ranks.

    Writes ``<output>/model/``, a folder for each baseline (``<output>/baseline/``), and
    ``<output>/history.json`` (validation metric by round). The same
    training set, recipe, seed and number of ranks give identical files of boosted trees, for any number of threads and
    also after resuming from a checkpoint. A network's files are identical only on the CPU with the same number of
    threads.

    Returns:
        A :class:`TrainResult` on rank 0; a result without content on the other ranks.

    Raises:
        TrainingError: when a rank is missing, fails, has no rows, or runs out of memory.
        RowCountError: when the rows differ from the frozen ones.
    """
    contract = LaunchContract.from_environment(os.environ)
    use_case = load_use_case(spec.use_case)
    training_set = TrainingSet.of_run(spec)
    earlier = finished_result(spec, TrainResult)
    if earlier and earlier.training_set_sha256 == training_set.sha256:
        log.info("this run has trained already: %s", earlier.model)
        return earlier
    group = Group(contract, spec.fingerprint, timeout_seconds=_rendezvous_seconds())
    seconds: dict[str, float] = {}
    with _log_to_mlflow(spec, contract.rank) as report:
        with send_failures(group):
            context = read_context(spec, training_set, group, seconds)
            trained = _fit(spec, context, report, seconds)
        if contract.rank != 0:
            return JobResult()
        saved = _save(spec, use_case, training_set, trained, seconds)
        result = _report(spec, training_set, trained, saved, seconds)
        clear_checkpoints(spec, training_set)
    return result


def _rendezvous_seconds() -> float:
    """Return how long a rank waits for the others."""
    with reading("the ranks' timeout", where="NIGHTJAR_RENDEZVOUS_SECONDS", fix="give seconds, e.g. 300"):
        return float(os.environ.get("NIGHTJAR_RENDEZVOUS_SECONDS", "300"))


@contextmanager
def _log_to_mlflow(spec: JobSpec, rank: int) -> Iterator[Report]:
    """Yield the receiver of each round's metrics: MLflow, on rank 0 and if configured."""
    uri = os.environ.get("MLFLOW_TRACKING_URI", "").rstrip("/")
    if rank != 0 or not uri:
        yield silent
        return
    live = LiveRun(uri, spec.use_case, spec.run_id, {FINGERPRINT_TAG: spec.fingerprint})
    succeeded = False
    try:
        yield live.report
        succeeded = True
    finally:
        live.close(succeeded=succeeded)


@dataclass(frozen=True, kw_only=True)
class _Trained:
    """The trained models; the same on each rank.

    Attributes:
        models: The model and the baselines.
        predictions: Profile of the model's predictions on the validation days.
        compressed: Compressed models, each with the profile of its predictions.
        rows_per_second: Training rows times rounds per second, of each engine.
        peaks: Largest resident size of each rank so far, in bytes.
    """

    models: TrainedModels
    predictions: Profile
    compressed: tuple[tuple[CompressedModel, Profile], ...]
    rows_per_second: dict[str, float]
    peaks: list[int]


def _fit(spec: JobSpec, context: TrainingContext, report: Report, seconds: dict[str, float]) -> _Trained:
    """Train the engines, compressed models and the baseline with the other ranks."""
    group, training_set, threads = context.group, context.training_set, context.threads
    with collective(group):
        fitted = fit_engines(spec, context, report, seconds)
        with timed(seconds, "combine"):
            ensemble = combine(fitted.engines, context.validation, training_set.recipe, threads=threads)
            predictions = profile_predictions(group, context.metric.problem, ensemble.outputs)
        with timed(seconds, "compress"):
            compressed = tuple(
                (model, profile_predictions(group, context.metric.problem, model.ensemble.outputs))
                for model in compress(fitted.engines, ensemble, context)
            )
        with timed(seconds, "baseline"):
            baselines = fit_baselines(context)
        peaks = group.exchange(peak_memory())
    return _Trained(
        models=TrainedModels(
            engines=fitted.engines,
            ensemble=ensemble,
            baselines=baselines,
            seen_by_base=context.base.card.seen if context.base else (),
        ),
        predictions=predictions,
        compressed=compressed,
        rows_per_second=fitted.rows_per_second,
        peaks=peaks,
    )


@dataclass(frozen=True, kw_only=True)
class _Saved:
    """The models as saved: the full one, the baselines by name, and the files of each compression."""

    full: TabularModel
    baselines: dict[str, TabularModel]
    compressed: dict[str, CompressedModelFiles]


def _save(
    spec: JobSpec, use_case: UseCase, training_set: TrainingSet, trained: _Trained, seconds: dict[str, float]
) -> _Saved:
    """Save the models on rank 0, each with the profile of the training rows and of its own predictions."""
    with timed(seconds, "save"):
        profile = add_predictions(read_training_profile(spec), trained.predictions)
        full, baselines = save_models(spec, use_case, training_set, trained.models, profile.to_json())
        compressed: dict[str, CompressedModelFiles] = {
            model.name: save_compressed(spec, full, model, add_predictions(profile, predictions).to_json())
            for model, predictions in trained.compressed
        }
    return _Saved(full=full, baselines=baselines, compressed=compressed)


def _report(
    spec: JobSpec, training_set: TrainingSet, trained: _Trained, saved: _Saved, seconds: dict[str, float]
) -> TrainResult:
    """Log the training, record it in the ledger, and return the result."""
    engines, metric = trained.models.engines, saved.full.card.validation_metric
    for fitted in engines:
        card = fitted.card
        log.info(
            "%s: validation %s %.4f at round %d of %d",
            card.name, metric, card.validation_score, card.rounds, len(fitted.history),
        )  # fmt: skip
    _record_training(spec, training_set, saved.full)
    rows = training_set.train.rows + training_set.validation.rows
    return TrainResult(
        rows_in=rows,
        rows_out=rows,
        inputs=training_set.tables,
        metrics={
            f"validation_{metric}": saved.full.card.validation_score,
            **{
                f"{baseline.name}_validation_{metric}": baseline.card.validation_score
                for baseline in trained.models.baselines
            },
            **{f"{fitted.card.name}_validation_{metric}": fitted.card.validation_score for fitted in engines},
            **{f"{fitted.card.name}_rounds": float(fitted.card.rounds) for fitted in engines},
            **{f"{name}_rows_per_second": value for name, value in trained.rows_per_second.items()},
            "peak_memory_megabytes": max(trained.peaks) / 1e6,
        },
        model=f"{spec.output}/{MODEL}",
        model_sha256=saved.full.sha256,
        baselines={name: model.sha256 for name, model in saved.baselines.items()},
        compressed=saved.compressed,
        training_set_sha256=training_set.sha256,
        world_size=spec.world_size,
        external_memory=any(fitted.external_memory for fitted in engines),
        device=engines[0].device,
        peak_memory_bytes=tuple(trained.peaks),
        seconds=seconds,
    )


def _record_training(spec: JobSpec, training_set: TrainingSet, saved: TabularModel) -> None:
    rounds = ", ".join(f"{member.rounds} rounds of {member.name}" for member in saved.card.members)
    card = saved.card
    score = f"validation {card.validation_metric} {card.validation_score:.4f}"
    reason = f"{score} after {rounds} on {spec.world_size} ranks"
    details = {"model_sha256": saved.sha256, "training_set_sha256": training_set.sha256}
    event = ledger.Event.of(spec, "training", reason=reason, table_versions=training_set.tables, details=details)
    ledger.record(Lake(spec.lake), event)


if __name__ == "__main__":
    main(run)
