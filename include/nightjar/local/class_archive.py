"""A class data sharing archive of Spark's classes, made once at set-up and mapped into memory by every later JVM.

A night starts a JVM; finding, verifying and linking some 20,000 classes is most of the wait. Java's own application
class data sharing keeps them (JEP 350). A JVM that does not fit the archive ignores it.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
from pathlib import Path

from nightjar.local.paths import Paths
from nightjar.local.spark_submit import run_spark_submit

NIGHT_OPTIONS = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
"""A night is short: the second compiler's work would not be paid back, and it takes a core meanwhile. The archive is
made under the options that it is used under."""


def archive_of(paths: Paths, java_home: Path) -> Path:
    """Return the location of the archive for this Java and this Spark."""
    version = subprocess.run([java_home / "bin" / "java", "-version"], capture_output=True, check=True).stderr
    spark = sorted(jar.name for jar in (paths.spark_home / "jars").glob("spark-*.jar"))
    key = hashlib.sha256(version + str(paths.spark_home).encode() + "".join(spark).encode()).hexdigest()[:12]
    return paths.jars / f"spark-classes-{key}.jsa"


def make_archive(paths: Paths, java_home: Path, archive: Path, log: Path) -> None:
    """Run ``spark/nightjar_spark/warm_up.py`` once and archive the classes that it loads; replace older archives.

    Raises:
        SetupError: when that run fails.
    """
    paths.jars.mkdir(exist_ok=True)
    fresh = archive.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    options = f"{NIGHT_OPTIONS} -XX:ArchiveClassesAtExit={fresh}"
    run_spark_submit(
        ["--master", "local[2]", "--driver-java-options", options, "--conf", "spark.ui.enabled=false"],
        paths.root / "spark" / "nightjar_spark" / "warm_up.py",
        spark_home=paths.spark_home,
        python=paths.python,
        java_home=java_home,
        log=log,
    )
    for other in paths.jars.glob("spark-classes-*.jsa"):
        other.unlink()
    os.replace(fresh, archive)
