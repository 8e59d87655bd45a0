"""Download artifacts of runs and model versions with the MLflow client."""

from __future__ import annotations

import os
import tempfile
from importlib import import_module
from pathlib import Path
from types import ModuleType

from nightjar.protocol.errors import ModelError, UnreachableError, first_line
from nightjar.registry import rest
from nightjar.settings.environment import Settings

MODEL_DATA = "nightjar_model"
"""Folder of the model's own files among a version's artifacts."""


def download(uri: str, folder: str) -> Path:
    """Download a model version's artifacts into ``folder``; return the model folder among them.

    Raises:
        UnreachableError: when MLflow or its artifact store does not answer.
    """
    mlflow = load_mlflow()
    try:
        path = mlflow.artifacts.download_artifacts(artifact_uri=f"{uri}/data/{MODEL_DATA}", dst_path=folder)
    except Exception as error:  # the store's own errors: S3, HTTP, file
        raise UnreachableError(
            f"the model's files cannot be downloaded ({first_line(error)})",
            where=uri,
            fix="check the MLflow server's artifact store, then clear the task",
        ) from error
    if not Path(path).resolve().is_relative_to(Path(folder).resolve()):
        raise ModelError(
            "MLflow downloaded files outside of the target folder",
            where=f"{uri}: {path}",
            fix="find out who changed the version's source; promote one that the use case's DAG registered",
        )
    return Path(path)


def read_text(run_id: str, name: str) -> str:
    """Return the text artifact ``name`` of a run.

    Raises:
        ModelError: when the run has no artifact of this name.
        UnreachableError: when MLflow does not answer.
    """
    mlflow = load_mlflow()
    with tempfile.TemporaryDirectory() as folder:
        try:
            path = mlflow.artifacts.download_artifacts(run_id=run_id, artifact_path=name, dst_path=folder)
        except Exception as error:  # the store's own errors: S3, HTTP, file
            raise ModelError(
                f"{name} of the run cannot be read ({first_line(error)})",
                where=f"MLflow run {run_id}",
                fix="check that the run was logged by `register`, and MLflow's artifact store",
            ) from error
        return Path(path).read_text()


def load_mlflow() -> ModuleType:
    """Import MLflow once the server has answered, configured to fail within seconds instead of minutes."""
    uri = Settings.from_environment().mlflow_uri
    rest.call(uri, "GET", "registered-models/search", {"max_results": 1})
    defaults = {
        "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
        "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
    }
    for name, value in defaults.items():
        os.environ.setdefault(name, value)
    mlflow = import_module("mlflow")
    mlflow.set_tracking_uri(uri)
    return mlflow
