"""Train one model on all ranks: ``python -m nightjar_jobs.train --spec <uri>``, started by a launcher."""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from nightjar.contracts.errors import TrainingError
from nightjar.contracts.job import JobResult, JobSpec
from nightjar.contracts.use_case import UseCase, load_use_case
from nightjar.lake import files, ledger
from nightjar.lake.results import finished_result
from nightjar.monitoring.profile import Profile, ProfiledColumn, merge_all
from nightjar.monitoring.reference import PREDICTION
from nightjar.monitoring.summarize import profile_arrays
from nightjar.registry.live import LiveRun
from nightjar.registry.models import FINGERPRINT_TAG
from nightjar.training import baseline, model
from nightjar.training.boosting import Boosted, boost, engine_params
from nightjar.training.checkpoint import Checkpoints
from nightjar.training.collective import collective
from nightjar.training.engine import import_xgboost
from nightjar.training.memory import out_of_memory, peak_memory
from nightjar.training.progress import Progress, Report
from nightjar.training.rendezvous import Group, LaunchContract
from nightjar.training.shards import Shard, check_counts, read_shard
from nightjar.training.training_set import PROFILE_FILE, TrainingSet, training_set_uri
from nightjar_jobs.runner import main

log = logging.getLogger(__name__)

HISTORY_FILE = "history.json"


def run(spec: JobSpec) -> JobResult:
    """Train the model of ``spec.use_case`` on the run's frozen training set; this process is one rank of it.

    Writes ``<output>/model/``, ``<output>/baseline.json`` and ``<output>/history.json`` (validation AUC by round). With
    the same training set, recipe, seed and number of ranks the model's files are the same to the byte, whatever the
    number of threads, and also when a killed training went on from a checkpoint.

    Returns:
        On rank 0 the result. ``values``: ``model`` (URI), ``model_sha256``, ``baseline`` (folder), ``baseline_sha256``,
        ``training_set_sha256``.

    Raises:
        TrainingError: when a rank is missing, fails, has nothing to train on, or runs out of memory.
        RowCountError: when the rows read are not those that were frozen.
    """
    contract = LaunchContract.from_environment(os.environ)
    use_case = load_use_case(spec.use_case)
    training_set = TrainingSet.of_run(spec)
    earlier = finished_result(spec)
    if earlier and earlier.values.get("training_set_sha256") == training_set.sha256:
        log.info("trained already by this run: %s", earlier.values["model"])
        return earlier
    timeout = float(os.environ.get("NIGHTJAR_RENDEZVOUS_SECONDS", "300"))
    group = Group(contract, spec.fingerprint, timeout_seconds=timeout)
    with _followed(spec, contract.rank) as report:
        progress = Progress(training_set.train.rows, log.info if contract.rank == 0 else _silent, report)
        checkpoints = Checkpoints.of(spec, _identity(spec, training_set))
        fitted = _fit_together(spec, training_set, group, checkpoints, progress)
        if contract.rank != 0:
            return JobResult(status="succeeded")
        result = _keep(spec, use_case, training_set, fitted, progress)
        checkpoints.clear()
    return result


@contextmanager
def _followed(spec: JobSpec, rank: int) -> Iterator[Report]:
    """Whom to tell of each round: MLflow, by rank 0 and where one is configured."""
    uri = os.environ.get("MLFLOW_TRACKING_URI", "").rstrip("/")
    if rank != 0 or not uri:
        yield _silent
        return
    live = LiveRun(uri, spec.use_case, spec.run_id, {FINGERPRINT_TAG: spec.fingerprint})
    succeeded = False
    try:
        yield live.report
        succeeded = True
    finally:
        live.close(succeeded=succeeded)


@dataclass(frozen=True, kw_only=True)
class _Fitted:
    """What the ranks have made together; the same on each of them.

    Attributes:
        boosted: The trees.
        predictions: How their probabilities are distributed on the validation days.
        simple: What they must beat.
        peaks: Largest resident size of each rank so far, in bytes.
        seconds: Phase to wall-clock seconds.
    """

    boosted: Boosted
    predictions: Profile
    simple: baseline.Baseline
    peaks: list[int]
    seconds: dict[str, float]


def _fit_together(
    spec: JobSpec, training_set: TrainingSet, group: Group, checkpoints: Checkpoints, progress: Progress
) -> _Fitted:
    """All that the ranks do together; whatever fails on one is told to the others, and named by them."""
    try:
        _check_same_data(group, training_set, where=training_set_uri(spec))
        fitted = _fit(spec, training_set, group, checkpoints, progress)
    except BaseException as failure:
        error = out_of_memory(failure, group.contract.rank) or failure
        lost = group.lost_rank()
        group.fail(error)
        if lost is not None and not isinstance(error, TrainingError):
            raise lost from failure
        raise error from failure.__cause__
    group.close()
    return fitted


def _keep(
    spec: JobSpec, use_case: UseCase, training_set: TrainingSet, fitted: _Fitted, progress: Progress
) -> JobResult:
    """Rank 0 saves what all have made."""
    began = time.monotonic()
    boosted = fitted.boosted
    saved = _save(spec, use_case, training_set, boosted, fitted.predictions)
    baseline_sha256 = fitted.simple.save(spec.output)
    log.info("validation AUC %.4f at round %d of %d", boosted.validation_auc, boosted.rounds, len(boosted.history))
    _to_ledger(spec, training_set, boosted, saved.sha256)
    rows = training_set.train.rows + training_set.validation.rows
    return JobResult(
        status="succeeded",
        rows_in=rows,
        rows_out=rows,
        inputs=training_set.tables,
        metrics={
            "validation_auc": boosted.validation_auc,
            "rounds": float(boosted.rounds),
            "rows_per_second": progress.rows_per_second,
            "peak_memory_megabytes": max(fitted.peaks) / 1e6,
        },
        values={
            "model": f"{spec.output}/model",
            "model_sha256": saved.sha256,
            "baseline": spec.output,
            "baseline_sha256": baseline_sha256,
            "training_set_sha256": training_set.sha256,
            "world_size": spec.world_size,
            "external_memory": boosted.external_memory,
            "device": boosted.params["device"],
            "peak_memory_bytes": fitted.peaks,
        },
        seconds={name: round(value, 3) for name, value in {**fitted.seconds, "save": time.monotonic() - began}.items()},
    )


def _fit(
    spec: JobSpec, training_set: TrainingSet, group: Group, checkpoints: Checkpoints, progress: Progress
) -> _Fitted:
    """Read this rank's shards, and fit trees and baseline to them together with the other ranks."""
    times = [time.monotonic()]
    rank, world_size = group.contract.rank, group.contract.world_size
    train = read_shard(spec.lake, training_set, training_set.train, rank, world_size)
    validation = read_shard(spec.lake, training_set, training_set.validation, rank, world_size)
    _check_shards(group, training_set, train, validation, where=training_set_uri(spec))
    if rank == 0:
        log.info("%d ranks, %d training rows, %d features", world_size, training_set.train.rows, train.columns)
    times.append(time.monotonic())
    with collective(group):
        boosted = boost(
            train,
            validation,
            training_set.features,
            training_set.recipe,
            group=group,
            threads=spec.threads_per_rank,
            checkpoints=checkpoints,
            progress=progress,
        )
        times.append(time.monotonic())
        predictions = _prediction_profile(group, boosted, validation)
        simple = baseline.fit(train, training_set.features, training_set.categories, training_set.train.rows)
        times.append(time.monotonic())
        peaks = group.exchange(peak_memory())
    phases = zip(("read", "train", "baseline"), times, times[1:], strict=False)
    seconds = {name: end - start for name, start, end in phases}
    return _Fitted(boosted=boosted, predictions=predictions, simple=simple, peaks=peaks, seconds=seconds)


def _identity(spec: JobSpec, training_set: TrainingSet) -> dict[str, Any]:
    """What decides the model's bytes; a checkpoint belongs to one such training. Threads do not matter."""
    return {
        "spec": spec.fingerprint,
        "training_set": training_set.sha256,
        "world_size": spec.world_size,
        "params": engine_params(training_set.recipe),
        "engine": f"xgboost {import_xgboost().__version__}",
    }


def _silent(*_: object) -> None:
    """Other ranks than the first say nothing of their progress: it is the same."""


def _to_ledger(spec: JobSpec, training_set: TrainingSet, boosted: Boosted, model_sha256: str) -> None:
    reason = f"validation AUC {boosted.validation_auc:.4f} after {boosted.rounds} rounds on {spec.world_size} ranks"
    details = {"model_sha256": model_sha256, "training_set_sha256": training_set.sha256}
    event = ledger.Event.of(spec, "training", reason=reason, table_versions=training_set.tables, details=details)
    ledger.record(spec.lake, event)


def _check_same_data(group: Group, training_set: TrainingSet, *, where: str) -> None:
    """Every rank has read the same description of the data; all ranks come to the same verdict."""
    first, *others = group.exchange({"sha256": training_set.sha256, **training_set.tables})
    for rank, theirs in enumerate(others, start=1):
        if differing := [
            f"{name} {theirs.get(name)}, not {mine}" for name, mine in first.items() if theirs.get(name) != mine
        ]:
            raise TrainingError(
                f"rank {rank} has read another training set than rank 0: {', '.join(differing)}",
                where=where,
                how_many=sum(other != first for other in others),
                fix="let no other run write this folder; clear freeze_training_set of this run, then train",
            )


def _check_shards(group: Group, training_set: TrainingSet, train: Shard, validation: Shard, *, where: str) -> None:
    """Every rank has something to do, and together they have what was frozen; all ranks come to the same verdict."""
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


def _prediction_profile(group: Group, boosted: Boosted, validation: Shard) -> Profile:
    """How the model's probabilities are distributed on the validation days, over all ranks, in rank 0's bins."""
    import numpy as np

    predict = boosted.booster.inplace_predict
    predictions: Any = np.concatenate([predict(matrix, missing=np.nan) for matrix, _ in validation.batches()])
    columns = [ProfiledColumn(PREDICTION, "numeric")]
    data = {PREDICTION: predictions.astype(np.float64)}
    of_first = profile_arrays(data, columns).to_json() if group.contract.rank == 0 else ""
    reference = Profile.from_json(group.exchange(of_first)[0])
    mine = profile_arrays(data, columns, reference)
    return merge_all([Profile.from_json(text) for text in group.exchange(mine.to_json())])


def _save(
    spec: JobSpec, use_case: UseCase, training_set: TrainingSet, boosted: Boosted, predictions: Profile
) -> model.TabularModel:
    uri = training_set_uri(spec).rsplit("/", 1)[0]
    profile = Profile.from_json(files.read_text(f"{uri}/{PROFILE_FILE}"))
    card = model.ModelCard(
        use_case=use_case.name,
        features=training_set.features,
        categories=training_set.categories,
        label=use_case.label,
        prediction=use_case.prediction,
        engine=f"xgboost {import_xgboost().__version__}",
        params=boosted.params,
        seed=training_set.recipe.seed,
        world_size=spec.world_size,
        rounds=boosted.rounds,
        validation_auc=boosted.validation_auc,
        tables=training_set.tables,
    )
    files.write_text(f"{spec.output}/{HISTORY_FILE}", json.dumps(boosted.history))
    profile = profile.with_column(PREDICTION, predictions.columns[PREDICTION])
    return model.save(f"{spec.output}/model", card, boosted.booster, profile.to_json())


if __name__ == "__main__":
    main(run)
