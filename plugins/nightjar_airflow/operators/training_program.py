"""The operator that runs one training program, on as many ranks as it takes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from nightjar.contracts.errors import TrainingError
from nightjar.contracts.job import JobResult, JobSpec
from nightjar.contracts.programs import TRAINING_PROGRAMS
from nightjar.contracts.use_case import UseCase
from nightjar.training.launch import LocalRanks
from nightjar_airflow.failure import one_line_failure
from nightjar_airflow.links.result_links import links_of
from nightjar_airflow.outcome import emit_assets, raise_for, summary
from nightjar_airflow.specs import build_spec

if TYPE_CHECKING:
    from airflow.sdk import Context


class TrainingProgramOperator(BaseOperator):
    """Runs ``nightjar_jobs.<program>`` as processes under the launch contract (what torchrun sets).

    Args:
        use_case: The use case.
        program: The program's name; also the task id, unless one is given.
        world_size: Number of ranks; this machine's cores are shared among them.
    """

    ui_color = "#e3e8f4"
    template_fields: Sequence[str] = ()

    def __init__(self, *, use_case: UseCase, program: str, world_size: int = 1, **kwargs: Any) -> None:
        if program not in TRAINING_PROGRAMS:
            raise ValueError(f"there is no training program {program!r}; choose one of {', '.join(TRAINING_PROGRAMS)}")
        super().__init__(**{"task_id": program, **kwargs})
        self.use_case = use_case
        self.program = program
        self.operator_extra_links = links_of(program)
        self.world_size = world_size
        self.links: dict[str, str] = {}
        self._ranks: LocalRanks | None = None

    @one_line_failure
    def execute(self, context: Context) -> dict[str, Any]:
        """Start the ranks, pass on the first one's lines, and return rows, versions and metrics of the result."""
        threads = max(1, len(os.sched_getaffinity(0)) // self.world_size)
        spec = build_spec(context, self.use_case, self.program, world_size=self.world_size, threads_per_rank=threads)
        result = self._run(spec)
        self.links = dict(result.links)
        raise_for(result)
        emit_assets(context, self.outlets, result, (spec.first_night.isoformat(), spec.last_night.isoformat()))
        return summary(result)

    def on_kill(self) -> None:
        """End all ranks as one."""
        if self._ranks is not None:
            self._ranks.stop()

    def _run(self, spec: JobSpec) -> JobResult:
        from nightjar.lake import files

        spec_uri = f"{spec.output}/spec.json"
        files.write_text(spec_uri, spec.to_json())
        self._ranks = LocalRanks(
            program=self.program,
            spec_uri=spec_uri,
            world_size=self.world_size,
            threads_per_rank=spec.threads_per_rank,
            on_line=self.log.info,
        )
        self._ranks.start()
        self._ranks.wait()
        result = JobResult.from_json(files.read_text(f"{spec.output}/result.json"))
        if result.spec_fingerprint != spec.fingerprint:
            raise TrainingError(
                f"{self.program} ended without a result for this spec", where=spec.output, fix="clear the task"
            )
        return result
