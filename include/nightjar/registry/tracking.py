"""Log and register models and download artifacts with the MLflow client."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from nightjar.declaration.features import Feature
from nightjar.declaration.tables import Column
from nightjar.protocol.errors import UnreachableError, first_line
from nightjar.registry import models
from nightjar.registry.artifacts import MODEL_DATA, load_mlflow
from nightjar.settings.environment import Settings
from nightjar.training.distributed.progress import score_by_round
from nightjar.training.model import download as download_folder

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

REQUIREMENTS = ("numpy", "onnxruntime", "pandas", "pyarrow", "xgboost")
"""Requirements of a loaded model; listed because MLflow needs 20 s to infer them."""


@dataclass(frozen=True, kw_only=True)
class TrainingRecord:
    """A training as it is logged to MLflow.

    Attributes:
        use_case: Name of the experiment and of the registered model.
        run_name: Display name of the run.
        model_uri: The model folder in the lake.
        features: Inputs of the signature.
        outputs: Columns of a prediction, the outputs of the signature.
        params: Parameters.
        metrics: Final metrics.
        metric: Name of the validation metric.
        history: Engine to its validation metric by round.
        tags: Tags of the run and of the version; they must identify the training.
        texts: File name to content of text artifacts.
        description: Description of the version.
    """

    use_case: str
    run_name: str
    model_uri: str
    features: Sequence[Feature]
    outputs: Sequence[Column]
    params: Mapping[str, Any]
    metrics: Mapping[str, float]
    metric: str
    history: Mapping[str, Sequence[float]]
    tags: Mapping[str, str]
    texts: Mapping[str, str]
    description: str


def register(record: TrainingRecord) -> models.ModelVersion:
    """Log a run with its model and register a version; the same training is registered only once.

    Raises:
        UnreachableError: when MLflow does not answer.
    """
    if existing := models.find(record.use_case, _identity(record)):
        return existing
    mlflow = load_mlflow()
    from mlflow.exceptions import MlflowException

    client = mlflow.MlflowClient()
    try:
        run_id = _log_run(client, record)
        source = _log_model(mlflow, run_id, record)
        return _create_version(client, run_id, source, record)
    except MlflowException as error:
        raise UnreachableError(
            f"MLflow did not accept the model ({first_line(error)})",
            where=Settings.from_environment().mlflow_uri,
            fix="check the MLflow server's log and its artifact store, then clear the task",
        ) from error


def _identity(record: TrainingRecord) -> dict[str, str]:
    return {tag: record.tags[tag] for tag in (models.SHA256_TAG, models.FINGERPRINT_TAG)}


def _log_run(client: MlflowClient, record: TrainingRecord) -> str:
    """Log parameters, metrics and artifacts to the run of the training, created when missing; return its id.

    Values that MLflow already has, from the training or from a failed attempt, are not written twice.
    """
    from mlflow.entities import Metric, Param, RunTag

    experiment = client.get_experiment_by_name(record.use_case)
    experiment_id = experiment.experiment_id if experiment else client.create_experiment(record.use_case)
    run = _run_of(client, experiment_id, record) or client.create_run(experiment_id, run_name=record.run_name)
    run_id, started = run.info.run_id, run.info.start_time
    # the current time: MLflow rejects a second value with the same timestamp, which a cleared evaluation may give
    now = int(time.time() * 1000)
    new_metrics = {name: value for name, value in record.metrics.items() if run.data.metrics.get(name) != value}
    metrics = [Metric(name, float(value), now, 0) for name, value in new_metrics.items()]
    for kind, history in record.history.items():
        name = score_by_round(kind, record.metric)
        logged = {metric.step for metric in client.get_metric_history(run_id, name)}
        rounds = enumerate(history, start=1)
        metrics += [Metric(name, value, started, step) for step, value in rounds if step not in logged]
    params = [Param(name, str(value)) for name, value in record.params.items()]
    tags = [RunTag(key, value) for key, value in record.tags.items()]
    client.log_batch(run_id, metrics=metrics, params=params, tags=tags)
    for name, text in record.texts.items():
        client.log_text(run_id, text, name)
    return str(run_id)


def _run_of(client: MlflowClient, experiment_id: str, record: TrainingRecord) -> Run | None:
    """Return the run of this training; a run that holds another model is skipped."""
    same_training = f"tags.`{models.FINGERPRINT_TAG}` = '{record.tags[models.FINGERPRINT_TAG]}'"
    sha256 = record.tags[models.SHA256_TAG]
    for run in client.search_runs([experiment_id], filter_string=same_training):
        if run.data.tags.get(models.SHA256_TAG, sha256) == sha256:
            return run
    return None


def _log_model(mlflow: ModuleType, run_id: str, record: TrainingRecord) -> str:
    """Log the model folder as a pyfunc model without pickle; return its ``models:/m-…`` address."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, Schema

    types = {"numeric": DataType.double, "categorical": DataType.string}
    output_types = {"double": DataType.double, "string": DataType.string}
    signature = ModelSignature(
        inputs=Schema([ColSpec(types[feature.kind], feature.name) for feature in record.features]),
        outputs=Schema([ColSpec(output_types[column.type], column.name) for column in record.outputs]),
    )
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / MODEL_DATA
        download_folder(record.model_uri, folder)
        with mlflow.start_run(run_id=run_id):  # ends the run: finished, or failed when logging the model fails
            info = mlflow.pyfunc.log_model(
                name="model",
                loader_module="nightjar.registry.pyfunc",
                data_path=str(folder),
                signature=signature,
                pip_requirements=[f"{package}=={metadata.version(package)}" for package in REQUIREMENTS],
            )
    return str(info.model_uri)


def _create_version(client: MlflowClient, run_id: str, source: str, record: TrainingRecord) -> models.ModelVersion:
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(record.use_case)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    # created with its tags, so that a version never lacks its SHA-256
    created = client.create_model_version(
        name=record.use_case,
        source=source,
        run_id=run_id,
        tags=dict(record.tags),
        description=record.description,
        model_id=source.removeprefix("models:/"),
    )
    return models.ModelVersion(
        name=record.use_case,
        version=str(created.version),
        sha256=record.tags[models.SHA256_TAG],
        run_id=run_id,
        tags=record.tags,
    )
