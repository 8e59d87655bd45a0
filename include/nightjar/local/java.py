"""Find a Java that Spark supports, or package one."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

SUPPORTED = (17, 21)
USUAL_FOLDERS = (Path("/usr/lib/jvm"),)
HOW_TO_GET_IT = "`apt install openjdk-17-jre-headless` or `dnf install java-17-openjdk-headless`"

# Spark requests a module that the packaged Java lacks; only MLlib's linear algebra would use it.
_LAUNCHER = """#!/bin/sh
for argument do
  shift
  case "$argument" in --add-modules=jdk.incubator.vector) ;; *) set -- "$@" "$argument" ;; esac
done
exec "{java}" "$@"
"""


def java_version(java: Path) -> int | None:
    """Return the major version of a Java launcher; None when it does not run."""
    try:
        done = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=60, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    match = re.search(r'version "(\d+)', done.stderr + done.stdout)
    return int(match.group(1)) if match else None


def find_java_home(
    packaged: Path, environ: Mapping[str, str] = os.environ, folders: Sequence[Path] = USUAL_FOLDERS
) -> Path | None:
    """Return the JAVA_HOME of a Java that Spark supports.

    Search order: ``JAVA_HOME``, ``java`` on the path, the usual folders, the packaged one.

    Args:
        packaged: Folder of the launcher from :func:`wrap_packaged_java`.
        environ: The environment.
        folders: Folders in which systems install JDKs.
    """
    candidates: list[Path] = []
    if environ.get("JAVA_HOME"):
        candidates.append(Path(environ["JAVA_HOME"]))
    on_path = shutil.which("java", path=environ.get("PATH"))
    if on_path:
        candidates.append(Path(on_path).resolve().parents[1])
    for folder in folders:
        candidates += sorted(home for home in folder.glob("*17*") if (home / "bin" / "java").exists())
    candidates.append(packaged)
    return next((home for home in candidates if java_version(home / "bin" / "java") in SUPPORTED), None)


def wrap_packaged_java(runtime: Path, home: Path) -> None:
    """Make ``home`` a JAVA_HOME whose launcher starts ``runtime``'s Java without options that it does not support."""
    launcher = home / "bin" / "java"
    launcher.parent.mkdir(parents=True, exist_ok=True)
    launcher.write_text(_LAUNCHER.format(java=runtime / "bin" / "java"))
    launcher.chmod(0o755)
