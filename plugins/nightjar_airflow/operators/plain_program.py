"""The operator that runs one plain program as a process beside its task."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nightjar.lake import files
from nightjar.protocol.documents import dump_json
from nightjar.protocol.job import JobSpec
from nightjar.protocol.programs import PLAIN_PROGRAMS
from nightjar_airflow.backends.local import LocalBackend
from nightjar_airflow.backends.result import spec_uri
from nightjar_airflow.failure import one_line_failure
from nightjar_airflow.operators.program import ProgramOperator
from nightjar_airflow.specs import build_spec
from nightjar_airflow.usage import Usage

if TYPE_CHECKING:
    from airflow.sdk import Context


class PlainProgramOperator(ProgramOperator):
    """Runs ``nightjar_jobs.<program>`` on one core of the task's machine, without Spark and without a pod.

    So a night is published, and a model promoted, while the Spark application or the cluster is down.

    Args:
        use_case: The use case.
        program: Name of the program; also the default task id.
    """

    programs = PLAIN_PROGRAMS
    ui_color = "#f0ead8"

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._process: LocalBackend | None = None

    @one_line_failure
    def execute(self, context: Context) -> dict[str, Any]:
        """Run the program, pass on its log, and return rows, versions and metrics of its result."""
        spec = self._spec(context)
        files.write_text(spec_uri(spec), dump_json(spec))
        self._process = process = LocalBackend(spec, self.log.info)
        return self._conclude(context, spec, process.run(), lambda: Usage(cpus=1.0))

    def on_kill(self) -> None:
        """Stop the process."""
        if self._process is not None:
            self._process.stop()

    def _spec(self, context: Context) -> JobSpec:
        return build_spec(context, self.use_case, self.program)
