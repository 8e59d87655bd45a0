"""Run a program with ``spark-submit`` at set-up, before an Airflow connection exists."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from nightjar.local.steps import run_logged


def run_spark_submit(
    options: Sequence[str], program: Path, *, spark_home: Path, python: Path, java_home: Path, log: Path
) -> None:
    """Run ``program``, and append its output to ``log``.

    Raises:
        SetupError: when it fails.
    """
    environ = {
        **os.environ,
        "JAVA_HOME": str(java_home),
        "SPARK_HOME": str(spark_home),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "PYSPARK_PYTHON": str(python),
    }
    run_logged([spark_home / "bin" / "spark-submit", *options, program], log, environ)
