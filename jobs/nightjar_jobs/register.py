"""Write a training to MLflow and register its model: ``python -m nightjar_jobs.register --spec <uri>``."""

from __future__ import annotations

import json
import logging
from typing import Any

from nightjar.contracts.job import JobResult, JobSpec
from nightjar.contracts.settings import Settings
from nightjar.contracts.use_case import load_use_case
from nightjar.lake import files
from nightjar.lake.results import earlier_result
from nightjar.registry import models, tracking
from nightjar.training.model import PROFILE_FILE, ModelCard, TabularModel
from nightjar.training.training_set import FILE, TrainingSet
from nightjar_jobs.runner import main

log = logging.getLogger(__name__)


def run(spec: JobSpec) -> JobResult:
    """Log the run's training and evaluation, and register its model as a version of the model ``spec.use_case``.

    The same training (model SHA-256 and spec) is registered once, however often this runs.

    Returns:
        ``values``: ``model_name``, ``model_version``, ``model_sha256``, ``model_uri``, ``mlflow_run_id``. ``links``:
        ``mlflow_run``, ``mlflow_model``.

    Raises:
        ModelError: when the model's files were altered since the training.
        UnreachableError: when MLflow does not answer.
    """
    version = tracking.register(_record(spec))
    log.info("version %s of %s, SHA-256 %s", version.version, version.name, version.sha256)
    return JobResult(
        status="succeeded",
        inputs=TrainingSet.of_run(spec).tables,
        values={
            "model_name": version.name,
            "model_version": version.version,
            "model_sha256": version.sha256,
            "model_uri": version.uri,
            "mlflow_run_id": version.run_id,
        },
        links=models.links(version),
    )


def _record(spec: JobSpec) -> tracking.TrainingRecord:
    """Everything that the run's earlier tasks have left, as MLflow is told it."""
    use_case = load_use_case(spec.use_case)
    trained, evaluated = earlier_result(spec, "train"), earlier_result(spec, "evaluate")
    training_set = TrainingSet.of_run(spec)
    git_commit = Settings.from_environment().git_commit
    model = TabularModel.load(trained.values["model"], sha256=trained.values["model_sha256"])
    tables = {f"version of {table}": version for table, version in training_set.tables.items()}
    splits = {"train": training_set.train, "validation": training_set.validation, "holdout": training_set.holdout}
    return tracking.TrainingRecord(
        use_case=use_case.name,
        run_name=spec.run_id,
        model_uri=trained.values["model"],
        features=model.card.features,
        params={
            **_params_of_members(model.card),
            **tables,
            **{f"{name} days": f"{split.first} to {split.last}" for name, split in splits.items()},
            "world_size": model.card.world_size,
            "engine": model.card.engine,
            "git_commit": git_commit,
        },
        metrics={**trained.metrics, **evaluated.metrics},
        history=json.loads(files.read_text(f"{spec.run_dir}/train/history.json")),
        tags={
            models.SHA256_TAG: model.sha256,
            models.FINGERPRINT_TAG: trained.spec_fingerprint,
            "nightjar.dag_id": spec.dag_id,
            models.RUN_TAG: spec.run_id,
            "nightjar.git_commit": git_commit,
            "nightjar.tables": json.dumps(dict(training_set.tables), sort_keys=True),
        },
        texts={FILE: training_set.to_json(), PROFILE_FILE: model.profile},
        description=f"{use_case.prediction} Trained on {training_set.train.first} to {training_set.train.last}.",
    )


def _params_of_members(card: ModelCard) -> dict[str, Any]:
    """Each engine's parameters; ``<kind>.<name>`` where there is more than one."""
    several = len(card.members) > 1
    return {
        f"{member.kind}.{name}" if several else name: value
        for member in card.members
        for name, value in member.params.items()
    }


if __name__ == "__main__":
    main(run)
