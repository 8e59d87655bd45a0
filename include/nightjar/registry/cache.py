"""Copies of model folders on this machine, by their checksum."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from nightjar.training.model import SUMS_FILE, download


def cache_folder(sha256: str, root: str | None = None) -> Path:
    """Where the folder with this checksum is kept: below ``root``, ``NIGHTJAR_MODEL_CACHE`` or the system's /tmp."""
    base = root or os.environ.get("NIGHTJAR_MODEL_CACHE") or f"{tempfile.gettempdir()}/nightjar-models"
    return (Path(base) / sha256).absolute()


def bring(target: Path, fetch: Callable[[Path], Path]) -> None:
    """Make ``target``, whole or not at all, of the folder that ``fetch`` leaves in the one that it is given."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as temporary:
        fetched = fetch(Path(temporary))
        try:
            os.replace(fetched, target)
        except OSError:
            if not (target / SUMS_FILE).exists():  # else another process was quicker, with the same files
                raise


def local_copy(folder: str, sha256: str) -> str:
    """A model folder of the lake on this machine: itself, or a copy that the first worker here makes of it.

    Not checked: see :meth:`nightjar.training.model.TabularModel.load`.
    """
    if "://" not in folder:
        return folder
    target = cache_folder(sha256)
    if not (target / SUMS_FILE).exists():

        def fetch(temporary: Path) -> Path:
            download(folder, temporary / "model")
            return temporary / "model"

        bring(target, fetch)
    return str(target)
