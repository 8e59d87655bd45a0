"""Models in a store: one checked copy for each machine, loaded once for each worker."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.nightjar.scoring.test_batches import batch, model

from nightjar.lake import files
from nightjar.protocol.errors import ModelError
from nightjar.scoring.unit import load_model
from nightjar.training.model import TabularModel, upload

LOAD = "import sys; from nightjar.scoring.unit import load_model; print(load_model(*sys.argv[1:]).sha256)"


@pytest.fixture
def shipped(store: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, str]]:
    """A model folder in S3, and its checksum; no copy of it is here."""
    monkeypatch.setenv("NIGHTJAR_MODEL_CACHE", str(tmp_path / "cache"))
    saved = model(str(tmp_path / "model"), batch(), None)
    uri = f"{store()}/models/x/{saved.sha256}"
    upload(tmp_path / "model", uri)
    load_model.cache_clear()
    yield uri, saved.sha256
    load_model.cache_clear()


def test_workers_of_one_machine_share_a_copy_and_each_loads_it_once(shipped: tuple[str, str], tmp_path: Path) -> None:
    workers = [
        subprocess.Popen([sys.executable, "-c", LOAD, *shipped], stdout=subprocess.PIPE, text=True, env={**os.environ})
        for _ in range(4)
    ]
    assert [worker.communicate()[0].strip() for worker in workers] == [shipped[1]] * 4
    assert [path.name for path in (tmp_path / "cache").iterdir()] == [shipped[1]], "one copy, and nothing half there"
    assert load_model(*shipped) is load_model(*shipped)


def test_corrupt_copy_is_downloaded_again(shipped: tuple[str, str], tmp_path: Path) -> None:
    load_model(*shipped)
    load_model.cache_clear()
    copy = tmp_path / "cache" / shipped[1]
    (copy / "boosting.ubj").write_bytes(b"corrupt")
    assert isinstance(load_model(*shipped), TabularModel)
    assert (copy / "boosting.ubj").read_bytes() != b"corrupt"


def test_model_with_another_checksum_is_refused(shipped: tuple[str, str], tmp_path: Path) -> None:
    uri, sha256 = shipped
    files.write_text(f"{uri}/boosting.ubj", "corrupt")
    with pytest.raises(ModelError, match="SHA-256 differs"):
        load_model(uri, sha256)
    with pytest.raises(ModelError):
        load_model(uri, "0" * 64)
