"""Local cache of model folders, by checksum."""

from __future__ import annotations

import fcntl
import logging
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from nightjar.lake import files
from nightjar.protocol.errors import ConfigurationError, NightjarError
from nightjar.protocol.names import check_sha256
from nightjar.training.model import TabularModel, download

log = logging.getLogger(__name__)

Fetch = Callable[[Path], Path]
"""Download a model into the given empty folder; return the model folder within it."""


def cache_folder(sha256: str, root: str | None = None) -> Path:
    """Return the cache folder of this checksum, below ``root``, ``NIGHTJAR_MODEL_CACHE`` or the system's /tmp.

    Raises:
        ModelError: when ``sha256`` is not a SHA-256.
    """
    base = root or os.environ.get("NIGHTJAR_MODEL_CACHE") or f"{tempfile.gettempdir()}/nightjar-models"
    return Path(base).absolute() / check_sha256(sha256, of="a model", where="cache of models")


def load_cached(sha256: str, fetch: Fetch, root: str | None = None) -> TabularModel:
    """Load the model with this checksum from the local cache; ``fetch`` it when the copy is missing or corrupt.

    The fetched folder is checked before it enters the cache. A corrupt copy alone never raises.

    Args:
        sha256: Checksum of the model folder.
        fetch: Downloads the folder.
        root: The cache; see :func:`cache_folder`.

    Raises:
        ModelError: when the fetched folder has another checksum.
        ConfigurationError: when the cache cannot be written.
        StorageFullError: when its disk is full.
        UnreachableError: when the folder cannot be fetched.
    """
    target = cache_folder(sha256, root)
    with suppress(NightjarError):
        return TabularModel.load(str(target), sha256=sha256)
    with _folder_within(target.parent) as temporary, files.storage_errors(str(target.parent)), _lock(target.parent):
        if os.path.lexists(target):
            try:
                return TabularModel.load(str(target), sha256=sha256)  # another process was faster
            except NightjarError as error:
                log.warning("the copy at %s is corrupt and is downloaded again: %s", target, error.what)
        fetched = fetch(temporary)
        model = TabularModel.load(str(fetched), sha256=sha256)
        _place(fetched, target, temporary)
    return model


@contextmanager
def _lock(folder: Path) -> Iterator[None]:
    """Let one process at a time fetch models, so that a valid copy is never moved while others read it."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def _folder_within(cache: Path) -> Iterator[Path]:
    """Yield a temporary folder in the cache; it is removed with its contents at the end."""
    try:
        cache.mkdir(mode=0o700, parents=True, exist_ok=True)
        temporary = tempfile.TemporaryDirectory(dir=cache)
    except OSError as error:
        raise ConfigurationError(
            f"the cache of models cannot be written ({error.strerror})",
            where=str(cache),
            fix="set NIGHTJAR_MODEL_CACHE to a folder that this process may write, with room for a model",
        ) from error
    with temporary as folder:
        yield Path(folder)


def _place(fetched: Path, target: Path, temporary: Path) -> None:
    """Move a checked folder to ``target``; a corrupt ``target`` moves into ``temporary``, which is removed.

    A link at ``target`` is renamed itself; the folder that it points to stays.
    """
    with suppress(FileNotFoundError):
        os.rename(target, temporary / "corrupt")
    os.rename(fetched, target)


def load_from_lake(folder: str, sha256: str) -> TabularModel:
    """Load a model folder of the lake: directly from a local lake, else through the local cache.

    Raises:
        ModelError: when its files have another checksum.
        UnreachableError: when the lake does not answer.
    """
    if "://" not in folder:
        return TabularModel.load(folder, sha256=sha256)

    def fetch(temporary: Path) -> Path:
        download(folder, temporary / "model")
        return temporary / "model"

    return load_cached(sha256, fetch)
