"""Checksum of the code that a Spark application has loaded, to detect changes."""

from __future__ import annotations

import hashlib
import os
import sysconfig
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

PACKAGES = ("nightjar_spark", "use_cases")


def code_digest() -> str:
    """Return the SHA-256 of everything in the folders that use cases and Spark programs are imported from.

    All files count, since a use case may import a module or read a query from its folder. Installed packages are left
    out: an image is replaced, not edited.
    """
    specs = [find_spec(package) for package in PACKAGES]
    locations = [Path(place) for spec in specs if spec for place in spec.submodule_search_locations or ()]
    installed = {Path(sysconfig.get_path(scheme)) for scheme in ("purelib", "platlib")}
    return digest_of({location.parent for location in locations} - installed)


def digest_of(folders: Iterable[Path]) -> str:
    """Return the SHA-256 of the names and contents of all files below ``folders``, except hidden and compiled ones."""
    digest = hashlib.sha256()
    for folder in sorted(folders):
        for place, below, names in os.walk(folder):
            below[:] = sorted(name for name in below if name != "__pycache__" and not name.startswith("."))
            for file in (Path(place, name) for name in sorted(names) if not name.startswith(".")):
                if file.is_file():
                    digest.update(f"{file}\0{hashlib.sha256(file.read_bytes()).hexdigest()}\0".encode())
    return digest.hexdigest()
