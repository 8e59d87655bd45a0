"""Train a model on all ranks: ``python -m nightjar_jobs.train --spec <uri>``, started by a launcher."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date
from typing import TYPE_CHECKING

import numpy as np

from nightjar.declaration.training import DeclaredEngine
from nightjar.declaration.use_case import UseCase, load_use_case
from nightjar.lake import files, ledger
from nightjar.lake.lake import Lake
from nightjar.lake.results import finished_result
from nightjar.monitoring.profiles.profile import Profile, ProfiledColumn, merge_all
from nightjar.monitoring.profiles.reference import PREDICTION
from nightjar.monitoring.profiles.summarize import profile_arrays
from nightjar.protocol.documents import reading
from nightjar.protocol.errors import TrainingError
from nightjar.protocol.job import JobResult, JobSpec
from nightjar.protocol.results import CompressedModelFiles, TrainResult
from nightjar.registry.live import LiveRun
from nightjar.registry.models import FINGERPRINT_TAG
from nightjar.timing import timed
from nightjar.training import model
from nightjar.training.compression import CompressedModel, compress, sizes
from nightjar.training.data.shards import Shard, check_counts, read_shard
from nightjar.training.data.training_set import FREEZE_TASK, PROFILE_FILE, TrainingSet, training_set_uri
from nightjar.training.distributed.checkpoint import Checkpoints
from nightjar.training.distributed.collective import collective
from nightjar.training.distributed.memory import out_of_memory, peak_memory
from nightjar.training.distributed.progress import Progress, Report, silent
from nightjar.training.distributed.rendezvous import Group, LaunchContract
from nightjar.training.engines.context import TrainingContext
from nightjar.training.engines.fitted import Fitted
from nightjar.training.engines.linear import baseline
from nightjar.training.engines.registry import ENGINES
from nightjar.training.engines.validation_auc import auc_over_ranks
from nightjar.training.ensemble.calibration import Calibrator
from nightjar.training.ensemble.members import Ensemble, combine, predict_shard
from nightjar.training.warm_start import load_base
from nightjar_jobs.runner import main

if TYPE_CHECKING:
    from numpy.typing import NDArray

log = logging.getLogger(__name__)

HISTORY_FILE = "history.json"
MODEL = "model"
BASELINE = "baseline"


def run(spec: JobSpec) -> JobResult:
    """Train the model of ``spec.use_case`` on the run's frozen training set, as one of its ranks.

    Writes ``<output>/model/``, ``<output>/baseline/`` and ``<output>/history.json`` (validation AUC by round). The same
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
    with reading("the ranks' timeout", where="NIGHTJAR_RENDEZVOUS_SECONDS", fix="give seconds, e.g. 300"):
        timeout = float(os.environ.get("NIGHTJAR_RENDEZVOUS_SECONDS", "300"))
    group = Group(contract, spec.fingerprint, timeout_seconds=timeout)
    with _log_to_mlflow(spec, contract.rank) as report:
        trained = _fit_or_report(spec, training_set, group, report)
        if contract.rank != 0:
            return JobResult()
        result = _save_result(spec, use_case, training_set, trained)
        for engine in training_set.recipe.engines:
            _checkpoints(spec, training_set, engine).clear()
    return result


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
        engines: Trained member of each engine.
        ensemble: Weights and calibration of the members.
        predictions: Profile of the probabilities on the validation days.
        smaller: Compressed models, each with the profile of its probabilities.
        simple: The baseline.
        simple_auc: Validation AUC of the baseline.
        rows_per_second: Training rows times rounds per second, of each engine.
        seen_by_base: Intervals of days that the base was trained and validated on.
        peaks: Largest resident size of each rank so far, in bytes.
        seconds: Phase to wall-clock seconds.
    """

    engines: tuple[Fitted, ...]
    ensemble: Ensemble
    predictions: Profile
    smaller: tuple[tuple[CompressedModel, Profile], ...]
    simple: baseline.Baseline
    simple_auc: float
    rows_per_second: dict[str, float]
    seen_by_base: tuple[tuple[date, date], ...]
    peaks: list[int]
    seconds: dict[str, float]


def _fit_or_report(spec: JobSpec, training_set: TrainingSet, group: Group, report: Report) -> _Trained:
    """Train with the other ranks; send a failure of this rank to the others."""
    try:
        _check_same_data(group, training_set, where=training_set_uri(spec))
        trained = _fit(spec, training_set, group, report)
    except BaseException as failure:
        error = out_of_memory(failure, group.contract.rank) or failure
        lost = group.lost_rank()
        group.fail(error)
        if lost is not None and not isinstance(error, TrainingError):
            raise lost from failure
        raise error from failure.__cause__
    group.close()
    return trained


def _fit(spec: JobSpec, training_set: TrainingSet, group: Group, report: Report) -> _Trained:
    """Read this rank's shards and train the engines and the baseline with the other ranks."""
    lake = Lake(spec.lake)
    rank, world_size, threads = group.contract.rank, group.contract.world_size, spec.threads_per_rank
    seconds: dict[str, float] = {}
    rows_per_second: dict[str, float] = {}
    with timed(seconds, "read"):
        train = read_shard(lake, training_set, training_set.train, rank, world_size)
        validation = read_shard(lake, training_set, training_set.validation, rank, world_size)
        _check_shards(group, training_set, train, validation, where=training_set_uri(spec))
        base = load_base(lake, training_set)
    if rank == 0:
        log.info("%d ranks, %d training rows, %d features", world_size, training_set.train.rows, train.columns)
    engines = []
    with collective(group):
        for engine in training_set.recipe.engines:
            say = log.info if rank == 0 else silent
            progress = Progress(engine.kind, training_set.train.rows, say, report)
            with timed(seconds, f"train_{engine.kind}"):
                context = TrainingContext(
                    train=train,
                    validation=validation,
                    training_set=training_set,
                    group=group,
                    threads=threads,
                    progress=progress,
                    checkpoints=_checkpoints(spec, training_set, engine),
                    base=base,
                )
                fitted = ENGINES[engine.kind].fit(engine, context)
            engines.append(fitted)
            rows_per_second[engine.kind] = progress.rows_per_second
        with timed(seconds, "combine"):
            ensemble = combine(engines, validation, training_set.recipe, threads=threads)
            predictions = _prediction_profile(group, ensemble.predictions)
        with timed(seconds, "compress"):
            smaller = [
                (small, _prediction_profile(group, small.ensemble.predictions))
                for small in compress(tuple(engines), ensemble, context)
            ]
        with timed(seconds, "baseline"):
            simple = baseline.fit(train, training_set.features, training_set.categories, training_set.train.rows)
            labels, answers = predict_shard(simple, validation, threads=threads)
            simple_auc = auc_over_ranks(labels, answers, after="the baseline's last step")
        peaks = group.exchange(peak_memory())
    return _Trained(
        engines=tuple(engines),
        ensemble=ensemble,
        predictions=predictions,
        smaller=tuple(smaller),
        simple=simple,
        simple_auc=simple_auc,
        rows_per_second=rows_per_second,
        seen_by_base=base.card.seen if base else (),
        peaks=peaks,
        seconds=seconds,
    )


def _save_result(spec: JobSpec, use_case: UseCase, training_set: TrainingSet, trained: _Trained) -> TrainResult:
    """Save the trained models on rank 0 and return the result."""
    seconds = dict(trained.seconds)
    with timed(seconds, "save"):
        saved, simple = _save(spec, use_case, training_set, trained)
        compressed: dict[str, CompressedModelFiles] = {
            small.name: _save_compressed(spec, saved, small, profile) for small, profile in trained.smaller
        }
    for fitted in trained.engines:
        card = fitted.card
        log.info(
            "%s: validation AUC %.4f at round %d of %d",
            card.kind, card.validation_auc, card.rounds, len(fitted.history),
        )  # fmt: skip
    _record_training(spec, training_set, saved)
    rows = training_set.train.rows + training_set.validation.rows
    return TrainResult(
        rows_in=rows,
        rows_out=rows,
        inputs=training_set.tables,
        metrics={
            "validation_auc": saved.card.validation_auc,
            "baseline_validation_auc": trained.simple_auc,
            **{f"{fitted.card.kind}_validation_auc": fitted.card.validation_auc for fitted in trained.engines},
            **{f"{fitted.card.kind}_rounds": float(fitted.card.rounds) for fitted in trained.engines},
            **{f"{kind}_rows_per_second": value for kind, value in trained.rows_per_second.items()},
            "peak_memory_megabytes": max(trained.peaks) / 1e6,
        },
        model=f"{spec.output}/{MODEL}",
        model_sha256=saved.sha256,
        baseline=f"{spec.output}/{BASELINE}",
        baseline_sha256=simple.sha256,
        compressed=compressed,
        training_set_sha256=training_set.sha256,
        world_size=spec.world_size,
        external_memory=any(fitted.external_memory for fitted in trained.engines),
        device=trained.engines[0].device,
        peak_memory_bytes=tuple(trained.peaks),
        seconds=seconds,
    )


def _checkpoints(spec: JobSpec, training_set: TrainingSet, engine: DeclaredEngine) -> Checkpoints:
    """Return an engine's checkpoints; the number of threads is not part of their identity."""
    identity = {"spec": spec.fingerprint, "training_set": training_set.sha256, "world_size": spec.world_size}
    return Checkpoints.of(spec, engine.kind, {**identity, "engine": ENGINES[engine.kind].library_version()})


def _record_training(spec: JobSpec, training_set: TrainingSet, saved: model.TabularModel) -> None:
    rounds = ", ".join(f"{member.rounds} rounds of {member.kind}" for member in saved.card.members)
    reason = f"validation AUC {saved.card.validation_auc:.4f} after {rounds} on {spec.world_size} ranks"
    details = {"model_sha256": saved.sha256, "training_set_sha256": training_set.sha256}
    event = ledger.Event.of(spec, "training", reason=reason, table_versions=training_set.tables, details=details)
    ledger.record(Lake(spec.lake), event)


def _check_same_data(group: Group, training_set: TrainingSet, *, where: str) -> None:
    """Check that all ranks have read the same training set; raises on all ranks."""
    first, *rest = group.exchange({"sha256": training_set.sha256, **training_set.tables})
    for rank, theirs in enumerate(rest, start=1):
        if differing := [
            f"{name} {theirs.get(name)}, not {value}" for name, value in first.items() if theirs.get(name) != value
        ]:
            raise TrainingError(
                f"rank {rank} has read another training set than rank 0: {', '.join(differing)}",
                where=where,
                how_many=sum(values != first for values in rest),
                fix="make sure that no other run writes this folder; clear freeze_training_set of this run, then train",
            )


def _check_shards(group: Group, training_set: TrainingSet, train: Shard, validation: Shard, *, where: str) -> None:
    """Check that every rank has rows and that all together have the frozen ones; raises on all ranks."""
    counts = group.exchange([[train.rows, train.positives], [validation.rows, validation.positives]])
    for name, split, position in (("train", training_set.train, 0), ("validation", training_set.validation, 1)):
        empty = [rank for rank, count in enumerate(counts) if not count[position][0]]
        if empty:
            raise TrainingError(
                f"rank {', '.join(map(str, empty))} has no {name} rows: {len(split.days)} days for {len(counts)} ranks",
                where=where,
                how_many=len(empty),
                fix="train with fewer ranks (world_size of the use case), or on more nights",
            )
        rows, positives = (sum(count[position][i] for count in counts) for i in (0, 1))
        check_counts(name, split, rows, positives, where=where)


def _prediction_profile(group: Group, predictions: NDArray[np.float64]) -> Profile:
    """Return the profile of the probabilities on the validation days of all ranks, in rank 0's bins."""
    columns = [ProfiledColumn(PREDICTION, "numeric")]
    data = {PREDICTION: predictions}
    first_profile = profile_arrays(data, columns).to_json() if group.contract.rank == 0 else ""
    reference = Profile.from_json(group.exchange(first_profile)[0])
    own_profile = profile_arrays(data, columns, reference)
    return merge_all([Profile.from_json(text) for text in group.exchange(own_profile.to_json())])


def _save(
    spec: JobSpec, use_case: UseCase, training_set: TrainingSet, trained: _Trained
) -> tuple[model.TabularModel, model.TabularModel]:
    """Write the model, the baseline and the engines' histories."""
    uri = f"{spec.run_dir}/{FREEZE_TASK}/{PROFILE_FILE}"
    fix = f"find out who changed the file; clear {FREEZE_TASK} of this run with force"
    with reading("the profile of the training rows", where=uri, fix=fix, error=TrainingError):
        profile = Profile.from_json(files.read_bytes(uri))
    profile = profile.with_column(PREDICTION, trained.predictions.columns[PREDICTION])
    ensemble, cost = trained.ensemble, training_set.recipe.cost
    card = model.ModelCard(
        use_case=use_case.name,
        features=training_set.features,
        categories=training_set.categories,
        label=use_case.target.label,
        prediction=use_case.target.prediction,
        members=tuple(
            replace(fitted.card, weight=weight)
            for fitted, weight in zip(trained.engines, ensemble.weights, strict=True)
        ),
        calibrator=ensemble.calibrator,
        threshold=cost.threshold if cost else None,
        seed=training_set.recipe.seed,
        world_size=spec.world_size,
        validation_auc=ensemble.validation_auc,
        tables=training_set.tables,
        seen=(*trained.seen_by_base, (training_set.train.first, training_set.validation.last)),
    )
    simple = replace(
        card,
        members=(trained.simple.card(trained.simple_auc),),
        calibrator=Calibrator(),
        validation_auc=trained.simple_auc,
    )
    history = {fitted.card.kind: fitted.history for fitted in trained.engines}
    files.write_text(f"{spec.output}/{HISTORY_FILE}", json.dumps(history))
    text = profile.to_json()
    return (
        model.save(f"{spec.output}/{MODEL}", card, [fitted.member for fitted in trained.engines], text),
        model.save(f"{spec.output}/{BASELINE}", simple, [trained.simple], text),
    )


def _save_compressed(
    spec: JobSpec, full: model.TabularModel, small: CompressedModel, predictions: Profile
) -> CompressedModelFiles:
    """Write a compressed model."""
    card = replace(
        full.card,
        members=small.cards,
        calibrator=small.ensemble.calibrator,
        validation_auc=small.ensemble.validation_auc,
    )
    profile = Profile.from_json(full.profile).with_column(PREDICTION, predictions.columns[PREDICTION])
    members = tuple(fitted.member for fitted in small.members)
    saved = model.save(f"{spec.output}/{MODEL}-{small.name}", card, members, profile.to_json())
    bytes_of, full_bytes = (sum(sizes(of).values()) for of in (members, full.members))
    log.info(
        "%s: validation AUC %.4f, %d bytes instead of %d, %.0f rows/s instead of %.0f",
        small.name, card.validation_auc, bytes_of, full_bytes, small.rows_per_second, small.full_rows_per_second,
    )  # fmt: skip
    return CompressedModelFiles(
        model=f"{spec.output}/{MODEL}-{small.name}",
        model_sha256=saved.sha256,
        figures={
            "bytes": bytes_of,
            "full_bytes": full_bytes,
            "rows_per_second": small.rows_per_second,
            "full_rows_per_second": small.full_rows_per_second,
            "validation_auc": card.validation_auc,
        },
    )


if __name__ == "__main__":
    main(run)
