"""Models fetched from the registry, and their cache, on a real MLflow server."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.nightjar_jobs.promotions import promote_first

from nightjar.protocol.errors import ModelError
from nightjar.registry import models
from nightjar.training.model import TabularModel

pytestmark = pytest.mark.e2e


def test_a_fetched_model_is_cached_and_every_tampering_is_noticed(
    start_run: Callable[[str], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = promote_first(start_run)
    champion = models.resolve("flight_delay")
    cache = tmp_path / "models"
    fetched = models.fetch(champion, str(cache))
    assert fetched.sha256 == champion.sha256 == run.result("train").model_sha256
    booster = cache / champion.sha256 / "boosting.ubj"
    corrupt = bytearray(booster.read_bytes())
    corrupt[100] ^= 1
    booster.write_bytes(corrupt)
    assert models.fetch(champion, str(cache)).sha256 == champion.sha256  # downloaded again
    assert booster.read_bytes() != corrupt
    monkeypatch.setattr("nightjar.registry.artifacts.download", lambda uri, folder: _corrupt_copy(cache, folder))
    booster.write_bytes(corrupt)
    with pytest.raises(ModelError, match="SHA-256 differs"):
        models.fetch(champion, str(cache))


def _corrupt_copy(cache: Path, folder: str) -> Path:
    """What an artifact store that was tampered with gives."""
    (model,) = (path for path in cache.iterdir() if len(path.name) == 64)
    return Path(shutil.copytree(model, Path(folder) / "model"))


def test_a_cached_model_needs_no_download(start_run: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch) -> None:
    promote_first(start_run)
    champion = models.resolve("flight_delay")
    models.fetch(champion)
    monkeypatch.setattr("nightjar.registry.artifacts.download", lambda *_: pytest.fail("downloaded again"))
    assert isinstance(models.fetch(champion), TabularModel)


def test_without_a_champion_the_error_says_what_to_do(registry: str) -> None:
    with pytest.raises(ModelError, match="flight_delay has no champion") as caught:
        models.resolve("flight_delay")
    assert "run the DAG flight_delay_training" in caught.value.fix
    with pytest.raises(ModelError, match="has no version 99"):
        models.resolve("flight_delay", 99)
