"""Registered models: find versions and aliases, fetch and check model folders.

A registered model has its use case's name. Its versions carry the SHA-256 of the model folder as a tag; the alias
``champion`` names the version that scores.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from nightjar.declaration.experiment import CHAMPION
from nightjar.lake.lake import Lake
from nightjar.protocol.errors import ModelError
from nightjar.protocol.names import check_identifier, check_sha256
from nightjar.registry import rest
from nightjar.registry.cache import cache_folder, load_cached
from nightjar.settings.environment import Settings
from nightjar.settings.secrets import without_credentials
from nightjar.training.model import TabularModel, folder_in_lake, upload

SHA256_TAG = "nightjar.model_sha256"
RUN_TAG = "nightjar.dag_run_id"
FINGERPRINT_TAG = "nightjar.train_fingerprint"
VARIANT_TAG = "nightjar.variant"
"""Tag: ``full``, or the compression of the version."""
_PAGE = 1000
_VERSION = re.compile(r"[0-9]{1,18}")
_RUN_ID = re.compile(r"[0-9A-Za-z][0-9A-Za-z_-]{0,63}")


@dataclass(frozen=True, kw_only=True)
class ModelVersion:
    """A version in the registry.

    Attributes:
        name: Registered model: the use case's name.
        version: Version number in MLflow.
        sha256: SHA-256 of the model folder (see :class:`nightjar.training.model.TabularModel`).
        run_id: MLflow run that logged it.
        tags: All its tags.
    """

    name: str
    version: str
    sha256: str
    run_id: str
    tags: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def uri(self) -> str:
        """MLflow's address of the version."""
        return f"models:/{self.name}/{self.version}"


def champion(use_case: str) -> ModelVersion | None:
    """Return the version that has the alias ``champion``; None when no version has it.

    Raises:
        UnreachableError: when MLflow does not answer.
    """
    return aliased(use_case, CHAMPION)


def aliased(use_case: str, alias: str) -> ModelVersion | None:
    """Return the version that has ``alias``; None when no version has it.

    Raises:
        UnreachableError: when MLflow does not answer.
    """
    response = rest.call(_uri(), "GET", "registered-models/get", {"name": use_case})
    aliases = response["registered_model"].get("aliases", []) if response else []
    versions = [entry["version"] for entry in aliases if entry["alias"] == alias]
    return _get(use_case, str(versions[0])) if versions else None


def resolve(use_case: str, version: str | int | None = None) -> ModelVersion:
    """Return the requested version, or the champion.

    Raises:
        ModelError: when the version or the champion does not exist.
        UnreachableError: when MLflow does not answer.
    """
    if version is not None:
        return _get(use_case, str(version))
    model = champion(use_case)
    if model is None:
        raise ModelError(
            f"{use_case} has no champion",
            where=f"{_uri()}/#/models/{use_case}",
            fix=f"run the DAG {use_case}_training, or give a version as the param model_version",
        )
    return model


def find(use_case: str, tags: Mapping[str, str]) -> ModelVersion | None:
    """Return the newest version that has all of ``tags``; None when no version has them."""
    check_identifier(use_case, field="use_case")  # it becomes part of the filter
    token = ""
    versions: list[ModelVersion] = []
    while True:
        arguments = {"filter": f"name='{use_case}'", "max_results": _PAGE, "page_token": token}
        response = rest.call(_uri(), "GET", "model-versions/search", arguments) or {}
        for document in response.get("model_versions", []):
            version = _version(use_case, document)
            if all(version.tags.get(key) == value for key, value in tags.items()):
                versions.append(version)
        token = response.get("next_page_token", "")
        if not token:
            return max(versions, key=lambda version: int(version.version), default=None)


def set_champion(model: ModelVersion) -> None:
    """Give the alias ``champion`` to ``model``, which scores from then on."""
    _post("registered-models/alias", {"name": model.name, "alias": CHAMPION, "version": model.version})


def set_tags(model: ModelVersion, tags: Mapping[str, str]) -> None:
    """Set tags of the version and of the run that logged it."""
    for key, value in tags.items():
        tag = {"name": model.name, "version": model.version, "key": key, "value": value}
        _post("model-versions/set-tag", tag)
        _post("runs/set-tag", {"run_id": model.run_id, "key": key, "value": value})


def fetch(model: ModelVersion, folder: str | None = None) -> TabularModel:
    """Load a version from the local cache, downloaded when missing or corrupt, and checked every time.

    Args:
        model: The version.
        folder: Local cache; default ``NIGHTJAR_MODEL_CACHE``, or a folder of the system's temporary one.

    Raises:
        ModelError: when its files do not have the checksum in the version's tag.
        UnreachableError: when MLflow does not answer and the cache does not hold it.
    """
    check_sha256(model.sha256, of=f"version {model.version} of {model.name} (tag {SHA256_TAG})", where=_page(model))

    def download(temporary: Path) -> Path:
        from nightjar.registry import artifacts

        return artifacts.download(model.uri, str(temporary))

    return load_cached(model.sha256, download, folder)


def ship(model: ModelVersion, lake: Lake) -> tuple[TabularModel, str]:
    """Fetch a version and upload its files to the lake, where every Spark worker reads them.

    Returns:
        The model, and the URI of its folder: ``<lake>/models/<name>/<sha256>``.
    """
    fetched = fetch(model)
    uri = folder_in_lake(lake, model.name, model.sha256)
    try:
        TabularModel.load(uri, sha256=model.sha256)
    except ModelError:  # missing or corrupt in the lake
        upload(cached(model), uri)
    return fetched, uri


def links(model: ModelVersion) -> dict[str, str]:
    """Return the addresses of the version's page and its run's page."""
    run = rest.call(_uri(), "GET", "runs/get", {"run_id": model.run_id})
    experiment = run["run"]["info"]["experiment_id"] if run else "0"
    address, number = without_credentials(_uri()), quote(str(experiment), safe="")
    return {
        "mlflow_model": _page(model),
        "mlflow_run": f"{address}/#/experiments/{number}/runs/{model.run_id}",
    }


def _post(path: str, arguments: Mapping[str, str]) -> None:
    """Change a resource of the registry; raise when it does not exist."""
    if rest.call(_uri(), "POST", path, arguments) is None:
        raise ModelError(
            f"MLflow no longer has what `{path}` was to change",
            where=f"{_uri()}: {', '.join(f'{name} {value}' for name, value in arguments.items())}",
            fix="find out who deleted the model version or its run; restore it, or train again",
        )


def _uri() -> str:
    return Settings.from_environment().mlflow_uri


def _page(model: ModelVersion) -> str:
    return f"{without_credentials(_uri())}/#/models/{model.name}/versions/{model.version}"


def _get(use_case: str, version: str) -> ModelVersion:
    response = rest.call(_uri(), "GET", "model-versions/get", {"name": use_case, "version": version})
    if response is None:
        raise ModelError(
            f"{use_case} has no version {version}",
            where=f"{_uri()}/#/models/{use_case}",
            fix="choose a version that the registry lists, or leave model_version empty for the champion",
        )
    return _version(use_case, response["model_version"])


def _version(use_case: str, document: Mapping[str, object]) -> ModelVersion:
    """Parse a version of ``use_case``; its number and run id are checked because they become addresses and paths.

    Raises:
        ModelError: when the number or the run id does not have the form that MLflow gives it.
    """
    listed = document.get("tags", [])
    tags = {str(tag["key"]): str(tag["value"]) for tag in listed} if isinstance(listed, list) else {}
    version, run_id = str(document.get("version", "")), str(document.get("run_id") or "")
    if not _VERSION.fullmatch(version) or (run_id and not _RUN_ID.fullmatch(run_id)):
        raise ModelError(
            f"the registry names a version {version!r:.100} of run {run_id!r:.100}, which MLflow does not",
            where=f"{_uri()}/#/models/{use_case}",
            fix="check that MLFLOW_TRACKING_URI is your MLflow server, and what lies between it and this machine",
        )
    return ModelVersion(name=use_case, version=version, sha256=tags.get(SHA256_TAG, ""), run_id=run_id, tags=tags)


def cached(model: ModelVersion) -> Path:
    """Return the local folder that :func:`fetch` has made for the version."""
    return cache_folder(model.sha256)
