"""A checksum of the code that a Spark application has loaded, by which a change is noticed."""

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

    Whatever lies there counts, since a use case may import a module or read a query from beside it. Installed packages
    do not: an image is replaced, not edited.
    """
    specs = [find_spec(package) for package in PACKAGES]
    locations = [Path(place) for spec in specs if spec for place in spec.submodule_search_locations or ()]
    installed = {Path(sysconfig.get_path(scheme)) for scheme in ("purelib", "platlib")}
    return digest_of({location.parent for location in locations} - installed)


def digest_of(folders: Iterable[Path]) -> str:
    """Return the SHA-256 of the names and contents of all files below ``folders``, hidden and compiled ones apart."""
    digest = hashlib.sha256()
    for folder in sorted(folders):
        for place, below, names in os.walk(folder):
            below[:] = sorted(name for name in below if name != "__pycache__" and not name.startswith("."))
            for file in (Path(place, name) for name in sorted(names) if not name.startswith(".")):
                if file.is_file():
                    digest.update(f"{file}\0{hashlib.sha256(file.read_bytes()).hexdigest()}\0".encode())
    return digest.hexdigest()
