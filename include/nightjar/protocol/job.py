"""JobSpec and JobResult: the contract between Airflow and the programs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any, ClassVar, Literal

from nightjar.protocol.documents import dump_values
from nightjar.protocol.errors import ConfigurationError
from nightjar.protocol.names import check_identifier, path_segment
from nightjar.protocol.nights import Nights


def run_folder(lake: str, dag_id: str, run_id: str) -> str:
    """Return the folder of a DAG run in the lake; each run has its own."""
    return f"{lake}/_runs/{path_segment(dag_id)}/{path_segment(run_id)}"


@dataclass(frozen=True, kw_only=True)
class JobSpec:
    """What a program has to do, stored as JSON in the lake.

    Attributes:
        program: Name, e.g. ``ingest``, of module ``nightjar_spark.ingest`` or ``nightjar_jobs.train``.
        use_case: Name of the use case, a folder of ``include/use_cases``.
        first_night: First night of the interval.
        last_night: Last night of the interval, inclusive.
        dag_id: DAG of the run.
        run_id: Airflow's run id; unchanged by retries and clears.
        task_id: Task of the run.
        map_index: Index of a mapped task instance; None for a task that is not mapped. Each instance has its own
            result.
        lake: URI or path of the lake's root.
        params: Params of the run (``model_version``, ``force``), and whether a person gave the interval
            (``interval_given``); JSON values only.
        world_size: Number of ranks of a training program.
        threads_per_rank: Threads of each rank.
    """

    program: str
    use_case: str
    first_night: date
    last_night: date
    dag_id: str
    run_id: str
    task_id: str
    lake: str
    map_index: int | None = None
    params: Mapping[str, Any] = field(default_factory=dict)
    world_size: int = 1
    threads_per_rank: int = 1

    def __post_init__(self) -> None:
        check_identifier(self.program, field="program")
        check_identifier(self.use_case, field="use_case")
        if self.world_size < 1 or self.threads_per_rank < 1:
            raise ConfigurationError(
                f"world_size {self.world_size} x threads_per_rank {self.threads_per_rank} is not a training layout",
                where="world_size, threads_per_rank",
                fix="give both as whole numbers from 1",
            )

    @property
    def run_dir(self) -> str:
        """Folder of the DAG run in the lake, with a folder per task for spec, log and result."""
        return run_folder(self.lake, self.dag_id, self.run_id)

    @property
    def output(self) -> str:
        """Folder of this task: ``spec.json``, ``job.log``, ``result.json`` and other outputs of the program."""
        instance = "" if self.map_index is None else f"~{self.map_index}"
        return f"{self.run_dir}/{path_segment(self.task_id)}{instance}"

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the canonical JSON, equal for specs that ask for the same work.

        The number of threads is left out: it depends on the machine, not on the work.
        """
        document = dump_values(replace(self, threads_per_rank=1))
        # compact, unlike dump_json: other bytes would change every fingerprint, and finished work would be done again
        return hashlib.sha256(json.dumps(document, sort_keys=True, separators=(",", ":")).encode()).hexdigest()

    def nights(self, timezone: str) -> Nights:
        """Return the nights of the interval, in the use case's ``timezone``."""
        return Nights(first=self.first_night, last=self.last_night, timezone=timezone)


@dataclass(frozen=True, kw_only=True)
class JobResult:
    """What a program did, written to ``<output>/result.json`` once, when the program ends.

    A program with more to report has a class of its own (:mod:`nightjar.protocol.results`); a failed program has only
    these fields.

    Attributes:
        status: ``succeeded`` or ``failed``.
        program: Name of the program.
        spec_fingerprint: :attr:`JobSpec.fingerprint` of its spec.
        rows_in: Rows read.
        rows_out: Rows written.
        rows_rejected: Rows sent to quarantine; ``rows_in == rows_out + rows_rejected``.
        outputs: Delta table name to the version committed.
        inputs: Delta table name to the version read.
        metrics: Numbers worth a plot.
        links: Name to address of pages worth opening.
        seconds: Phase to wall-clock seconds.
        error: One-line message of a failure.
        error_kind: ``kind`` of the error (see :mod:`nightjar.protocol.errors`).
        retryable: Whether another attempt may succeed.
    """

    PROGRAM: ClassVar[str] = ""
    status: Literal["succeeded", "failed"] = "succeeded"
    program: str = ""
    spec_fingerprint: str = ""
    rows_in: int = 0
    rows_out: int = 0
    rows_rejected: int = 0
    outputs: Mapping[str, int] = field(default_factory=dict)
    inputs: Mapping[str, int] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    links: Mapping[str, str] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)
    error: str = ""
    error_kind: str = ""
    retryable: bool = False

    def summary(self) -> str:
        """Return one line for a log: rows, versions and seconds."""
        versions = ", ".join(f"{table}@{version}" for table, version in self.outputs.items())
        seconds = self.seconds.get("total", sum(self.seconds.values()))
        rows = f"rows in {self.rows_in}, out {self.rows_out}, rejected {self.rows_rejected}"
        return f"{self.status}: {rows}; wrote {versions or 'no table'}; {seconds:.1f} s"
