"""The Delta JARs: resolved once by Spark's resolver, checked against ``spark/jars.lock``, kept in ``.jars/``."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from nightjar.local.paths import Paths
from nightjar.local.spark_submit import run_spark_submit
from nightjar.local.steps import SetupError

# Not needed at run time: kernel and catalog clients, and what Spark's distribution contains.
_EXCLUDED = "io.delta:delta-kernel*,io.unitycatalog*:*,com.*:*,org.*:*,net.*:*,jakarta.*:*"


@dataclass(frozen=True)
class Jar:
    """A JAR of the lock: Maven coordinates ``group:artifact:version``, and SHA-256."""

    coordinates: str
    sha256: str

    @property
    def file_name(self) -> str:
        """Name of the file, ``<artifact>-<version>.jar``."""
        _, artifact, version = self.coordinates.split(":")
        return f"{artifact}-{version}.jar"


def read_lock(lock: Path) -> list[Jar]:
    """Return the JARs of a lock file: per line coordinates and ``sha256:…``; ``#`` begins a comment."""
    lines = (line.split("#")[0].split() for line in lock.read_text().splitlines())
    return [Jar(coordinates=line[0], sha256=line[1].removeprefix("sha256:")) for line in lines if line]


def is_intact(jar: Jar, folder: Path) -> bool:
    """Return whether ``folder`` holds the JAR with the locked content."""
    file = folder / jar.file_name
    return file.is_file() and hashlib.sha256(file.read_bytes()).hexdigest() == jar.sha256


def all_intact(paths: Paths) -> bool:
    """Return whether ``.jars/`` holds every locked JAR."""
    return all(is_intact(jar, paths.jars) for jar in read_lock(paths.root / "spark" / "jars.lock"))


def resolve(paths: Paths, spark_home: Path, python: Path, java_home: Path, log: Path) -> None:
    """Install missing locked JARs into ``.jars/``.

    Args:
        paths: The checkout.
        spark_home: The Spark that resolves them.
        python: A Python that Spark may start.
        java_home: The Java that Spark runs on.
        log: File that takes Spark's output.

    Raises:
        SetupError: when a JAR cannot be resolved or has another checksum.
    """
    wanted = [jar for jar in read_lock(paths.root / "spark" / "jars.lock") if not is_intact(jar, paths.jars)]
    with tempfile.TemporaryDirectory(prefix="nightjar-jars-") as cache:
        program = Path(cache) / "nothing.py"
        program.write_text("")
        packages = ",".join(jar.coordinates for jar in wanted)
        options = ["--packages", packages, "--exclude-packages", _EXCLUDED, "--conf", f"spark.jars.ivy={cache}"]
        run_spark_submit(
            ["--master", "local[1]", *options],
            program,
            spark_home=spark_home,
            python=python,
            java_home=java_home,
            log=log,
        )
        for jar in wanted:
            _take(jar, Path(cache) / "jars", paths.jars, log)


def _take(jar: Jar, resolved: Path, folder: Path, log: Path) -> None:
    group = jar.coordinates.split(":")[0]
    file = resolved / f"{group}_{jar.file_name}"
    if not file.is_file():
        raise SetupError(f"{jar.coordinates} could not be resolved from Maven Central; see {log}")
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    if digest != jar.sha256:
        raise SetupError(f"{jar.coordinates} has SHA-256 {digest}, but spark/jars.lock has {jar.sha256}: do not use it")
    folder.mkdir(exist_ok=True)
    shutil.copyfile(file, folder / f".{jar.file_name}")
    os.replace(folder / f".{jar.file_name}", folder / jar.file_name)
