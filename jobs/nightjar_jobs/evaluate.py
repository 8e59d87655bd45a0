"""Evaluate challengers and champion on the same holdout: ``python -m nightjar_jobs.evaluate --spec <uri>``."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from nightjar.declaration.use_case import load_use_case
from nightjar.evaluation.verdict import CHALLENGER, CHAMPION, baseline_prefix, note_on_champion, prefix_of
from nightjar.lake import files
from nightjar.lake.lake import Lake
from nightjar.lake.results import earlier_result
from nightjar.monitoring.holdout.importances import Sample, importances_of
from nightjar.monitoring.holdout.page import HoldoutPage, render
from nightjar.monitoring.holdout.parts import parts_of
from nightjar.problems.problem_type import ProblemType
from nightjar.problems.registry import problem_type
from nightjar.protocol.documents import dump_json, load_json, reading
from nightjar.protocol.errors import GateError
from nightjar.protocol.job import JobSpec
from nightjar.protocol.results import EvaluateResult, TrainResult
from nightjar.registry import models
from nightjar.training.candidates import baseline_uri, candidates_of_run
from nightjar.training.data.shards import check_counts, read_days
from nightjar.training.data.training_set import TrainingSet, training_set_uri
from nightjar.training.engines.validation import ValidationMetric
from nightjar.training.model import TabularModel
from nightjar.training.warm_start import days_seen
from nightjar_jobs.runner import main

if TYPE_CHECKING:
    from numpy.typing import NDArray

log = logging.getLogger(__name__)
PAGE_FILE, IMPORTANCES_FILE = "evaluation.html", "importances.json"
SAMPLED_DAYS, SAMPLED_ROWS = 5, 1000
"""Days of the holdout, and rows of each, by which features are judged."""
JUDGED_AGAINST = "judged_against.json"
"""File with the champion that the run was compared with; it outlives the result, which a cleared task replaces."""


@dataclass(frozen=True, kw_only=True)
class _Comparison:
    """Version of the champion that the run was compared with; None without one."""

    champion_version: str | None


def run(spec: JobSpec) -> EvaluateResult:
    """Evaluate the run's models, the champion if any, and the baseline on the frozen holdout, which is read once.

    Returns:
        ``metrics``: ``holdout_<metric>``, ``champion_holdout_<metric>`` and, of each baseline and each compressed
        model, ``<name>_holdout_<metric>``; the metrics are those of the problem type.

    Raises:
        ModelError: when a model cannot be loaded, or the champion does not fit the feature table.
        GateError: when metrics cannot be computed on the holdout.
    """
    started = time.monotonic()
    trained = earlier_result(spec, TrainResult)
    training_set = TrainingSet.of_run(spec)
    candidates = candidates_of_run(spec)
    sha256 = {candidate.name: candidate.sha256 for candidate in candidates}
    champion = _champion(spec, sha256.values())
    contenders = {
        baseline_prefix(name): TabularModel.load(baseline_uri(spec, name), sha256=checksum)
        for name, checksum in trained.baselines.items()
    }
    contenders |= {prefix_of(candidate.name): candidate.load() for candidate in candidates}
    if champion:
        contenders[CHAMPION] = models.fetch(champion)
    loaded = time.monotonic()
    problem = problem_type(training_set.recipe.problem)
    labels, outputs, sample = _predict(spec, training_set, problem, contenders)
    metrics: dict[str, float] = {}
    measured_of = {
        prefix: problem.with_threshold(contenders[prefix].card.threshold).measure(labels, of_model)
        for prefix, of_model in outputs.items()
    }
    baselines = {name: measured_of[baseline_prefix(name)] for name in trained.baselines}
    for prefix, alone in measured_of.items():
        model_metrics = alone | problem.compare(alone, baselines)
        metrics |= {prefix + name: value for name, value in model_metrics.items()}
        log.info(
            "%s", " | ".join([prefix.rstrip("_"), *(f"{name} {value:.4f}" for name, value in model_metrics.items())])
        )
    measured = time.monotonic()
    _write_page(spec, training_set, contenders, labels, outputs, metrics, sample)
    return EvaluateResult(
        rows_in=len(labels),
        rows_out=len(labels),
        inputs=training_set.tables,
        metrics=metrics,
        sha256=sha256,
        champion_version=champion.version if champion else None,
        champion_sha256=champion.sha256 if champion else None,
        champion_note=_note(champion, contenders[CHAMPION], training_set) if champion else "",
        seconds={
            "load": round(loaded - started, 3),
            "measure": round(measured - loaded, 3),
            "page": round(time.monotonic() - measured, 3),
        },
    )


def _champion(spec: JobSpec, own_sha256: Collection[str]) -> models.ModelVersion | None:
    """Return the champion to compare with: the current one, or the one that this run has replaced.

    A run that is cleared after its promotion is therefore not compared with itself.
    """
    record = f"{spec.output}/{JUDGED_AGAINST}"
    champion = models.champion(spec.use_case)
    if champion and champion.sha256 in own_sha256 and champion.tags.get(models.RUN_TAG) == spec.run_id:
        fix = "find out who changed the file; clear evaluate of a new run"
        with reading("the version that this run was judged against", where=record, fix=fix, error=GateError):
            replaced = load_json(_Comparison, files.read_bytes(record)).champion_version
        return models.resolve(spec.use_case, replaced) if replaced else None
    files.write_text(record, dump_json(_Comparison(champion_version=champion.version if champion else None)))
    return champion


def _note(champion: models.ModelVersion, model: TabularModel, training_set: TrainingSet) -> str:
    """Return the note on a champion that was trained on days of the holdout, or an empty string."""
    holdout_days = training_set.holdout.days
    horizon = training_set.label_horizon_nights
    seen = len(days_seen(model.card.seen, holdout_days, label_horizon_nights=horizon)) if model.card.seen else None
    return note_on_champion(champion.version, seen=seen, holdout_days=len(holdout_days))


def _predict(
    spec: JobSpec, training_set: TrainingSet, problem: ProblemType, contenders: Mapping[str, TabularModel]
) -> tuple[NDArray[np.float64], dict[str, NDArray[np.float64]], Sample]:
    """Return the labels of the holdout, each contender's outputs, and the rows by which features are judged.

    The holdout is read day by day.
    """
    inputs = {feature.name for model in contenders.values() for feature in model.card.features}
    columns = sorted(inputs.union(problem.label_inputs))
    random, days = np.random.default_rng(training_set.recipe.seed), training_set.holdout.days
    sampled_days = {days[place] for place in random.permutation(len(days))[:SAMPLED_DAYS]}
    samples: list[tuple[NDArray[np.float32], NDArray[np.float64]]] = []
    by_day: list[NDArray[np.float64]] = []
    outputs: dict[str, list[NDArray[np.float64]]] = {prefix: [] for prefix in contenders}
    for day, rows in read_days(Lake(spec.lake), training_set, days, columns):
        by_day.append(problem.encode_labels(rows))
        if day in sampled_days:
            chosen = _choose_rows(by_day[-1], random)
            samples.append((contenders[CHALLENGER].encode(rows.take(chosen)), by_day[-1][chosen]))
        for prefix, model in contenders.items():
            outputs[prefix].append(model.predict(rows, threads=spec.threads_per_rank))
    labels = np.concatenate(by_day)
    where = training_set_uri(spec)
    check_counts("holdout", training_set.holdout, len(labels), problem.count_labels(labels), where=where)
    matrices, sampled = (np.concatenate(parts) for parts in zip(*samples, strict=True))
    sample = Sample(matrix=matrices, labels=sampled)
    return labels, {prefix: np.concatenate(parts) for prefix, parts in outputs.items()}, sample


def _choose_rows(labels: NDArray[np.float64], random: np.random.Generator) -> NDArray[np.int64]:
    """Return the positions of some rows of a day: at random, or the first ones where rows of a group stay together."""
    if labels.ndim == 2:
        return np.arange(min(len(labels), SAMPLED_ROWS))
    return np.sort(random.permutation(len(labels))[:SAMPLED_ROWS])


def _write_page(
    spec: JobSpec,
    training_set: TrainingSet,
    contenders: Mapping[str, TabularModel],
    labels: NDArray[np.float64],
    outputs: Mapping[str, NDArray[np.float64]],
    metrics: Mapping[str, float],
    sample: Sample,
) -> None:
    """Write the page of the holdout and the features' importances, which MLflow gets with the model."""
    names = {
        prefix: "this model" if prefix == CHALLENGER else prefix.removesuffix(f"_{CHALLENGER}") for prefix in outputs
    }
    order = sorted(outputs, key=lambda prefix: prefix != CHALLENGER)
    metric = ValidationMetric.of(training_set.recipe)
    importances = importances_of(
        contenders[CHALLENGER], metric, sample, seed=training_set.recipe.seed, threads=spec.threads_per_rank
    )
    listed = [key.removeprefix(CHALLENGER) for key in metrics if key.startswith(CHALLENGER)]
    by_model = {name: [metrics.get(prefix + name) for prefix in order] for name in listed}
    page = HoldoutPage(
        title=load_use_case(spec.use_case).title,
        run=spec.run_id,
        days=(str(training_set.holdout.first), str(training_set.holdout.last)),
        rows=len(labels),
        sampled=len(sample.labels),
        models=[names[prefix] for prefix in order],
        metrics={name: values for name, values in by_model.items() if name in training_set.recipe.problem.metrics},
        more_metrics={
            name: values for name, values in by_model.items() if name not in training_set.recipe.problem.metrics
        },
        metric=metric.name.replace("_", " "),
        parts=parts_of(training_set.recipe.problem, labels, {names[prefix]: outputs[prefix] for prefix in order}),
        importances=importances,
    )
    files.write_text(f"{spec.output}/{PAGE_FILE}", render(page))
    files.write_text(f"{spec.output}/{IMPORTANCES_FILE}", json.dumps(importances, indent=1))


if __name__ == "__main__":
    main(run)
