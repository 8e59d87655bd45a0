"""Programs that Airflow can run, and the files it shares with a running Spark application."""

from __future__ import annotations

from dataclasses import dataclass

from nightjar.processes import Process

SPARK_PROGRAMS = (
    "ingest",
    "build_features",
    "validate_features",
    "score",
    "validate_scores",
    "check_skew",
    "report_drift",
    "report_performance",
    "report_experiment",
    "freeze_training_set",
)
"""Programs of ``nightjar_spark``, which run in the Spark application of their DAG run."""
TRAINING_PROGRAMS = ("select_features", "tune", "train", "evaluate")
"""Programs of ``nightjar_jobs`` that run where the training connection says: on this machine or in pods."""
FITTING_PROGRAMS = ("select_features", "tune", "train")
"""Training programs that fit models. They get the use case's ``resources``; ``evaluate`` has its own."""
PLAIN_PROGRAMS = (
    "land",
    "publish_scores",
    "confirm_champion",
    "react",
    "choose_params",
    "register",
    "gate",
    "promote",
    "maintain_lake",
)
"""Programs of ``nightjar_jobs`` that run as a process beside their task: they need neither Spark nor a pod."""

HEARTBEAT_SECONDS = 1.0
"""Interval between heartbeats of a Spark application."""
DEAD_AFTER_SECONDS = 30.0
"""Seconds without a heartbeat after which an application is considered dead and another is started."""
IDLE_SECONDS = 900.0
"""Seconds without a task after which an application ends itself."""


@dataclass(frozen=True, kw_only=True)
class Start:
    """A start of the run's Spark application, as recorded in ``current.json``.

    Attributes:
        start: Id of the start.
        launcher: Process that launches it; None before it exists.
        code: Digest of the code that it runs.
    """

    start: str
    launcher: Process | None
    code: str | None


@dataclass(frozen=True, kw_only=True)
class Driver:
    """The driver of a Spark application that is ready for work, as recorded in ``application.json``.

    Attributes:
        application_id: Spark's id of the application.
        process: The driver's process.
    """

    application_id: str
    process: Process


@dataclass(frozen=True, kw_only=True)
class Heartbeat:
    """The latest heartbeat of the Spark application.

    Attributes:
        count: Number of the heartbeat.
        at: Time, in seconds since 1970.
        task: Running task; empty for none.
    """

    count: int
    at: float
    task: str


@dataclass(frozen=True)
class ApplicationFolder:
    """Folder through which the tasks and Spark applications of one DAG run communicate.

    As it lies in the lake, either may run on any machine: no port, no address, no token.
    """

    root: str

    @classmethod
    def of_run(cls, run_dir: str) -> ApplicationFolder:
        """Return the folder that belongs to the DAG run of ``run_dir``."""
        return cls(f"{run_dir}/_spark")

    @property
    def current(self) -> str:
        """JSON: the current start, its launcher's process, and the digest of its code.

        An application of another start ends itself.
        """
        return f"{self.root}/current.json"

    @property
    def applications(self) -> str:
        """Folder with an empty file per application that has served this run, named by application id."""
        return f"{self.root}/applications"

    @property
    def log(self) -> str:
        """Driver output of local applications."""
        return f"{self.root}/application.log"

    def of_start(self, start: str) -> StartFolder:
        """Return the folder of the start with the id ``start``."""
        return StartFolder(f"{self.root}/{start}")


@dataclass(frozen=True)
class StartFolder:
    """Folder of one start, through which tasks and its application exchange work."""

    root: str

    @property
    def state(self) -> str:
        """JSON: application id and the driver's process; written when the application is ready."""
        return f"{self.root}/application.json"

    @property
    def heartbeat(self) -> str:
        """JSON: a growing counter and the running task."""
        return f"{self.root}/heartbeat.json"

    @property
    def inbox(self) -> str:
        """Folder of waiting specs, ``<task_id>.json``."""
        return f"{self.root}/inbox"

    @property
    def cancelled(self) -> str:
        """Folder with the ids of cancelled tasks."""
        return f"{self.root}/cancelled"

    @property
    def stop(self) -> str:
        """File that makes the application end after its current job."""
        return f"{self.root}/stop"
