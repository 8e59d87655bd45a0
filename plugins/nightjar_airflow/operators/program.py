"""What the operators of all programs share: the program's name, its links, and what becomes of its result."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk import BaseOperator

from nightjar.declaration.use_case import UseCase
from nightjar.protocol.job import JobResult, JobSpec
from nightjar_airflow import metrics
from nightjar_airflow.links.result_links import links_of
from nightjar_airflow.outcome import emit_assets, raise_for, summary
from nightjar_airflow.usage import Usage

if TYPE_CHECKING:
    from airflow.sdk import Context


class ProgramOperator(BaseOperator):
    """Runs one program for the run's nights; subclasses say where.

    Args:
        use_case: The use case.
        program: Name of the program; also the default task id.
    """

    programs: ClassVar[tuple[str, ...]]
    """Programs that the operator can run."""
    template_fields: Sequence[str] = ()

    def __init__(self, *, use_case: UseCase, program: str, **kwargs: Any) -> None:
        if program not in self.programs:
            raise ValueError(f"{type(self).__name__} cannot run {program!r}; choose one of {', '.join(self.programs)}")
        super().__init__(**{"task_id": program, **kwargs})
        self.use_case = use_case
        self.program = program
        self.operator_extra_links = links_of(program)
        self.links: dict[str, str] = {}
        self.result: JobResult | None = None

    def _conclude(
        self, context: Context, spec: JobSpec, result: JobResult, usage: Callable[[], Usage]
    ) -> dict[str, Any]:
        """Pass on metrics, links and asset events of the result, and return its summary.

        Raises:
            AirflowException: when the program has failed; AirflowFailException when a retry would fail too.
        """
        self.result, self.links = result, dict(result.links)
        metrics.emit(context, self.use_case, spec, result, usage)
        raise_for(result)
        emit_assets(context, self.outlets, result, (spec.first_night.isoformat(), spec.last_night.isoformat()))
        return summary(result)
