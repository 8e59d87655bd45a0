"""The programs that Airflow may ask for, and the files by which it talks to a running Spark application."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nightjar.protocol.documents import check_fields

SPARK_PROGRAMS = (
    "land",
    "ingest",
    "build_features",
    "validate_features",
    "score",
    "validate_scores",
    "publish_scores",
    "confirm_champion",
    "check_skew",
    "report_drift",
    "report_performance",
    "report_experiment",
    "react",
    "freeze_training_set",
)
TRAINING_PROGRAMS = (
    "select_features",
    "tune",
    "choose_params",
    "train",
    "evaluate",
    "register",
    "gate",
    "promote",
    "maintain_lake",
)
FITTING_PROGRAMS = ("select_features", "tune", "train")
"""Training programs that fit models: they get the use case's ``resources``, the others its ``plain_resources``."""

HEARTBEAT_SECONDS = 1.0
"""How often a Spark application says that it lives."""
DEAD_AFTER_SECONDS = 30.0
"""An application that has not said so for this long is taken for dead, and another is started."""
IDLE_SECONDS = 900.0
"""An application that nobody has asked for anything for this long ends by itself."""


@dataclass(frozen=True, kw_only=True)
class Start:
    """A start of the run's Spark application, as ``current.json`` names it.

    Attributes:
        start: Its id.
        launcher: The process that launches it, as JSON; None until there is one.
        code: Digest of the code that it runs.
    """

    start: str
    launcher: Mapping[str, Any] | None
    code: str | None

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Start:
        """What the file holds; call it within :func:`nightjar.protocol.documents.reading`."""
        start = cls(**document)
        check_fields(start)
        return start


@dataclass(frozen=True, kw_only=True)
class Heartbeat:
    """The Spark application's last sign of life.

    Attributes:
        count: Number of the beat.
        at: When, in seconds since 1970.
        task: The task that it works on; empty for none.
    """

    count: int
    at: float
    task: str

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Heartbeat:
        """What the file holds; call it within :func:`nightjar.protocol.documents.reading`."""
        beat = cls(**document)
        check_fields(beat)
        return beat


@dataclass(frozen=True)
class ApplicationFolder:
    """The folder through which tasks and the Spark applications of one DAG run find each other.

    It lies in the lake, so that it does not matter on which machine either runs: no port, no address, no token.
    """

    root: str

    @classmethod
    def of_run(cls, run_dir: str) -> ApplicationFolder:
        return cls(f"{run_dir}/_spark")

    @property
    def current(self) -> str:
        """JSON: which start serves the run, its launcher's process, and the digest of its code.

        An application of another start ends itself.
        """
        return f"{self.root}/current.json"

    @property
    def applications(self) -> str:
        """Folder with one empty file for each application that has served this run, named by its id."""
        return f"{self.root}/applications"

    @property
    def log(self) -> str:
        """Driver output of local applications."""
        return f"{self.root}/application.log"

    def of_start(self, start: str) -> StartFolder:
        return StartFolder(f"{self.root}/{start}")


@dataclass(frozen=True)
class StartFolder:
    """The folder of one start, through which tasks and its application exchange work; no other application reads it."""

    root: str

    @property
    def state(self) -> str:
        """JSON: application id and the driver's process; written by the application when it is ready."""
        return f"{self.root}/application.json"

    @property
    def heartbeat(self) -> str:
        """JSON: a counter that grows while the application lives, and the task that runs."""
        return f"{self.root}/heartbeat.json"

    @property
    def inbox(self) -> str:
        """Folder of specs that wait, ``<task_id>.json``."""
        return f"{self.root}/inbox"

    @property
    def cancelled(self) -> str:
        """Folder of task ids whose job is to be given up."""
        return f"{self.root}/cancelled"

    @property
    def stop(self) -> str:
        """Its presence ends the application after the job that runs."""
        return f"{self.root}/stop"
