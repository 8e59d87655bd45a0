"""Log a training to MLflow and register its models: ``python -m nightjar_jobs.register --spec <uri>``."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

from nightjar.declaration.problem import Problem, columns_of_rows
from nightjar.declaration.use_case import load_use_case
from nightjar.evaluation.verdict import CHALLENGER, CHAMPION, FULL, baseline_prefix, prefix_of
from nightjar.lake import files
from nightjar.lake.results import earlier_result
from nightjar.protocol.documents import dump_json, parse_object, reading
from nightjar.protocol.errors import TrainingError
from nightjar.protocol.job import JobSpec
from nightjar.protocol.results import EvaluateResult, RegisterResult, SelectFeaturesResult, TrainResult
from nightjar.registry import models, tracking
from nightjar.settings.environment import Settings
from nightjar.training.candidates import Candidate, candidates_of_run
from nightjar.training.data.training_set import FILE, TrainingSet
from nightjar.training.model import PROFILE_FILE, ModelCard
from nightjar_jobs.evaluate import IMPORTANCES_FILE, PAGE_FILE
from nightjar_jobs.runner import main

log = logging.getLogger(__name__)


def run(spec: JobSpec) -> RegisterResult:
    """Log the run's training and evaluation, and register its models as versions of the model ``spec.use_case``.

    Each compressed model is a version with its own MLflow run. The same training (model SHA-256 and spec) is
    registered only once.

    Returns:
        The full model and all versions; ``links``: ``mlflow_run``, ``mlflow_model``.

    Raises:
        ModelError: when a model's files were altered since the training.
        UnreachableError: when MLflow does not answer.
    """
    full, *compressed = candidates_of_run(spec)
    full_record = _record(spec, full)
    version = tracking.register(full_record)
    versions = {FULL: version.version}
    for candidate in compressed:
        versions[candidate.name] = tracking.register(_record_compressed(spec, candidate, full_record)).version
    for name, number in versions.items():
        log.info("version %s of %s: the %s model", number, version.name, name)
    return RegisterResult(
        inputs=TrainingSet.of_run(spec).tables,
        model_name=version.name,
        model_version=version.version,
        model_sha256=version.sha256,
        model_uri=version.uri,
        mlflow_run_id=version.run_id,
        versions=versions,
        links=models.links(version),
    )


def _record(spec: JobSpec, full: Candidate) -> tracking.TrainingRecord:
    """Return the record of the full model, from the results of the run's earlier tasks."""
    use_case = load_use_case(spec.use_case)
    trained, evaluated = earlier_result(spec, TrainResult), earlier_result(spec, EvaluateResult)
    training_set = TrainingSet.of_run(spec)
    git_commit = Settings.from_environment().git_commit
    model = full.load()
    note = evaluated.champion_note
    return tracking.TrainingRecord(
        use_case=use_case.name,
        run_name=spec.run_id,
        model_uri=full.uri,
        features=model.card.features,
        outputs=columns_of_rows(model.card.problem, model.card.prediction),
        params={**_params_of_run(training_set, git_commit), **_params_of_model(model.card)},
        metrics={**trained.metrics, **evaluated.metrics},
        metric=model.card.validation_metric,
        history=_history(f"{spec.run_dir}/train/history.json"),
        tags={
            models.SHA256_TAG: model.sha256,
            models.FINGERPRINT_TAG: trained.spec_fingerprint,
            "nightjar.dag_id": spec.dag_id,
            models.RUN_TAG: spec.run_id,
            models.VARIANT_TAG: FULL,
            "nightjar.git_commit": git_commit,
            "nightjar.tables": json.dumps(dict(training_set.tables), sort_keys=True),
        },
        texts={FILE: dump_json(training_set), PROFILE_FILE: model.profile, **_evaluation(spec), **_selection(spec)},
        description=f"{use_case.target.prediction} Trained on {training_set.train.first} to {training_set.train.last}."
        + (f" In its evaluation, {note}." if note else ""),
    )


def _evaluation(spec: JobSpec) -> dict[str, str]:
    """Return the page of the holdout and the features' importances."""
    return {
        name: files.read_bytes(f"{spec.run_dir}/evaluate/{name}").decode() for name in (PAGE_FILE, IMPORTANCES_FILE)
    }


def _selection(spec: JobSpec) -> dict[str, str]:
    """Return why features were left out; nothing without a selection."""
    if not load_use_case(spec.use_case).training.selection:
        return {}
    selected = earlier_result(spec, SelectFeaturesResult)
    return {"selection.json": json.dumps({"dropped": dict(selected.dropped)}, indent=1, sort_keys=True)}


def _history(uri: str) -> dict[str, list[float]]:
    """Return the validation metric of each engine after each round."""
    fix = "find out who changed the file; clear train of this run"
    with reading("the history of the training", where=uri, fix=fix, error=TrainingError):
        history = parse_object(files.read_bytes(uri))
        return {engine: [float(value) for value in rounds] for engine, rounds in history.items()}


def _record_compressed(
    spec: JobSpec, candidate: Candidate, full_record: tracking.TrainingRecord
) -> tracking.TrainingRecord:
    """Return the record of a compressed model, with its figures and its loss against the full model."""
    model = candidate.load()
    use_case = load_use_case(spec.use_case)
    metric = use_case.decisive_metric
    own, full = (full_record.metrics[prefix + metric] for prefix in (prefix_of(candidate.name), CHALLENGER))
    worse = use_case.problem.metrics[metric].worse_by(own, full)
    figures = {**candidate.figures, f"{metric}_worse_by": worse}
    return replace(
        full_record,
        run_name=f"{full_record.run_name} {candidate.name}",
        model_uri=candidate.uri,
        features=model.card.features,
        params={
            **_params_of_run(TrainingSet.of_run(spec), full_record.tags["nightjar.git_commit"]),
            **_params_of_model(model.card),
            "made_from_sha256": full_record.tags[models.SHA256_TAG],
        },
        metrics={**figures, **_holdout_metrics(full_record.metrics, candidate.name, model.card.problem)},
        history={},
        tags={
            **full_record.tags,
            models.SHA256_TAG: model.sha256,
            models.VARIANT_TAG: candidate.name,
            **{f"nightjar.{name}": f"{value:.6g}" for name, value in figures.items()},
        },
        texts={
            **{name: text for name, text in full_record.texts.items() if name not in (PAGE_FILE, IMPORTANCES_FILE)},
            PROFILE_FILE: model.profile,
        },
        description=f"{full_record.description} Compression: {candidate.name}.",
    )


def _holdout_metrics(metrics: Mapping[str, float], name: str, problem: Problem) -> dict[str, float]:
    """Return a model's holdout metrics under their common names, with those of champion and baselines."""
    own_prefix = prefix_of(name)
    others = (CHAMPION, *map(baseline_prefix, problem.baselines))
    references = {key: value for key, value in metrics.items() if key.startswith(others)}
    return {
        CHALLENGER + key.removeprefix(own_prefix): value for key, value in metrics.items() if key.startswith(own_prefix)
    } | references


def _params_of_run(training_set: TrainingSet, git_commit: str) -> dict[str, Any]:
    """Return the params that all models of a training share: table versions, days and commit."""
    splits = {"train": training_set.train, "validation": training_set.validation, "holdout": training_set.holdout}
    return {
        **{f"version of {table}": version for table, version in training_set.tables.items()},
        **{f"{name} days": f"{split.first} to {split.last}" for name, split in splits.items()},
        "git_commit": git_commit,
    }


def _params_of_problem(problem: Problem) -> dict[str, Any]:
    """Return the problem type and what it declares."""
    return {"problem": problem.kind, **{f"problem.{name}": value for name, value in asdict(problem).items()}}


def _params_of_model(card: ModelCard) -> dict[str, Any]:
    """Return a model's own params and those of its members, as ``<member>.<name>`` for several members."""
    has_several = len(card.members) > 1
    member_params = {
        f"{member.name}.{name}" if has_several else name: value
        for member in card.members
        for name, value in {
            **member.params,
            "rounds": member.rounds,
            "weight": member.weight,
            "class_weights": list(member.class_weights),
        }.items()
    }
    return {
        **member_params,
        "engine": card.engine,
        "world_size": card.world_size,
        "seed": card.seed,
        "calibration": card.calibrator.method,
        **({} if card.threshold is None else {"threshold": card.threshold}),
        **_params_of_problem(card.problem),
    }


if __name__ == "__main__":
    main(run)
