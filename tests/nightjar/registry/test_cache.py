"""Local copies of models: downloaded once, complete or not at all, again when corrupt."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from tests.nightjar.training.test_model import CARD

from nightjar.protocol.errors import ConfigurationError, ModelError
from nightjar.registry.cache import cache_folder, load_cached
from nightjar.training.engines.linear.baseline import Baseline
from nightjar.training.model import SUMS_FILE, save


@pytest.fixture
def source(tmp_path: Path) -> Path:
    simple = Baseline(features=CARD.features, categories=CARD.categories, means=(), scales=(), weights=())
    save(f"{tmp_path}/source", replace(CARD, members=(simple.card(0.7),)), [simple], "{}")
    return tmp_path / "source"


@pytest.fixture
def sha256(source: Path) -> str:
    return hashlib.sha256((source / SUMS_FILE).read_bytes()).hexdigest()


class Fetch:
    """Copies the source, and counts how often."""

    def __init__(self, source: Path) -> None:
        self.source, self.times = source, 0

    def __call__(self, temporary: Path) -> Path:
        self.times += 1
        return Path(shutil.copytree(self.source, temporary / "model"))


def replace_by_file(copy: Path) -> None:
    shutil.rmtree(copy)
    copy.write_text("a file")


def replace_by_link(copy: Path) -> None:
    victim = copy.parent.parent / "victim"
    shutil.copytree(copy, victim)
    (victim / "model.json").write_text("mine")
    shutil.rmtree(copy)
    copy.symlink_to(victim)


def replace_file_by_folder(copy: Path) -> None:
    (copy / "model.json").unlink()
    (copy / "model.json").mkdir()


@pytest.mark.parametrize(
    "corrupt",
    [
        lambda copy: (copy / "model.json").write_bytes(b"corrupt"),
        lambda copy: (copy / "profile.json").unlink(),
        lambda copy: (copy / SUMS_FILE).unlink(),
        lambda copy: (copy / SUMS_FILE).write_bytes(b"\xff"),
        lambda copy: (copy / SUMS_FILE).write_text(""),
        replace_file_by_folder,
        replace_by_file,
        replace_by_link,
        lambda copy: shutil.rmtree(copy),
    ],
)
def test_corrupt_copy_is_downloaded_again_and_link_targets_stay(
    source: Path, sha256: str, tmp_path: Path, corrupt: Callable[[Path], object]
) -> None:
    cache, fetch = tmp_path / "cache", Fetch(source)
    assert load_cached(sha256, fetch, str(cache)).sha256 == sha256
    assert load_cached(sha256, fetch, str(cache)).sha256 == sha256
    assert fetch.times == 1
    corrupt(cache / sha256)
    assert load_cached(sha256, fetch, str(cache)).sha256 == sha256
    assert fetch.times == 2
    assert load_cached(sha256, fetch, str(cache)).sha256 == sha256
    assert fetch.times == 2, "the copy is whole again"
    assert [path.name for path in cache.iterdir()] == [sha256]
    if (tmp_path / "victim").exists():
        assert (tmp_path / "victim" / "model.json").read_text() == "mine"


def test_downloaded_model_with_another_checksum_is_refused_and_the_copy_stays(
    source: Path, sha256: str, tmp_path: Path
) -> None:
    cache, fetch = tmp_path / "cache", Fetch(source)
    (source / "profile.json").write_text("other")
    with pytest.raises(ModelError, match="SHA-256 differs"):
        load_cached(sha256, fetch, str(cache))
    assert list(cache.iterdir()) == []


@pytest.mark.parametrize("is_corrupt", [False, True])
def test_concurrent_loads_share_one_copy_that_is_whole_whenever_it_is_read(
    source: Path, sha256: str, tmp_path: Path, is_corrupt: bool
) -> None:
    cache, fetch = tmp_path / "cache", Fetch(source)
    if is_corrupt:
        (cache / sha256).mkdir(parents=True)

    def load(_: int) -> str:
        loaded = load_cached(sha256, fetch, str(cache)).sha256
        assert (cache / sha256 / "profile.json").read_bytes() == (source / "profile.json").read_bytes()
        return loaded

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(load, range(200))) == {sha256}
    assert fetch.times == 1
    assert [path.name for path in cache.iterdir()] == [sha256]


@pytest.mark.parametrize("value", ["", "..", "../x", "/tmp/x", "0" * 63 + "/"])
def test_invalid_checksum_is_not_a_folder_name(value: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="not 64 digits"):
        cache_folder(value, str(tmp_path))


def test_a_cache_that_cannot_be_written_says_which_variable_to_set(source: Path, sha256: str, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(ConfigurationError, match="cannot be written") as caught:
        load_cached(sha256, Fetch(source), f"{tmp_path}/cache")
    assert "NIGHTJAR_MODEL_CACHE" in caught.value.fix
