"""The operator that asks a person for approval before a version becomes champion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import Param

from nightjar.declaration.use_case import UseCase
from nightjar.protocol.errors import TrainingError, UnreachableError
from nightjar.protocol.job import JobSpec
from nightjar.protocol.results import GateResult
from nightjar_airflow import ledger
from nightjar_airflow.failure import one_line_failure
from nightjar_airflow.specs import run_dir

if TYPE_CHECKING:
    from airflow.sdk import Context

COMMENT = "comment"


class ApproveOperator(ApprovalOperator):
    """Asks whether the version that passed the gate may become champion; waits without a worker and without time limit.

    When the gate keeps the champion, there is nothing to ask and the run continues. A rejection is a decision, not a
    failure: this task succeeds, ``promote`` is skipped, the run succeeds with the same champion, and no alert is sent.
    ``promote`` stays skipped when it is cleared; clearing this task asks again.

    The person, time and comment are recorded in the ledger before anything else happens.

    Args:
        use_case: The use case.
    """

    ui_color = "#f4e3ec"
    template_fields: Sequence[str] = ()

    def __init__(self, *, use_case: UseCase, **kwargs: Any) -> None:
        comment = Param("", type=["null", "string"], title="Comment", description="Kept in the ledger.", source="task")
        super().__init__(
            subject=f"{use_case.name}: promote a new version?",
            **{
                "task_id": "approve",
                **kwargs,
                "params": {COMMENT: comment},
            },  # without the DAG's params, which are not part of the question
        )
        self.use_case = use_case

    @one_line_failure
    def execute(self, context: Context) -> None:
        """Ask for approval when the verdict of the gate is ``promote``."""
        _, result = _gate_result(context)
        if result.verdict != "promote":
            self.log.info("the gate keeps version %s: nothing to approve", result.champion_version)
            return
        self.subject = f"{self.use_case.name}: make version {result.model_version} champion?"
        self.body = question(self.use_case, result)
        super().execute(context)

    @one_line_failure
    def execute_complete(self, context: Context, event: dict[str, Any]) -> Any:
        """Record the answer, then continue or skip ``promote``."""
        self._record(context, event)
        return super().execute_complete(context, event)

    def _record(self, context: Context, event: dict[str, Any]) -> None:
        given = event["params_input"] or {}
        self.validate_params_input(given)
        spec, result = _gate_result(context)
        approved = event["chosen_options"] == [self.APPROVE]
        person, comment = event["responded_by_user"], given.get(COMMENT) or ""
        answered_at: datetime = event["responded_at"]
        done = f"{'approved' if approved else 'rejected'} by {person['name']}"
        recorded = ledger.record(
            "approval",
            use_case=spec.use_case,
            night=spec.last_night,
            actor=person["name"],
            reason=f"{done}: {comment}" if comment else done,
            dag_id=spec.dag_id,
            run_id=spec.run_id,
            task_id=self.task_id,
            model_version=result.model_version,
            details={
                "approved": approved,
                "user_id": person["id"],
                "answered_at": answered_at.isoformat(),
                "comment": comment,
            },
        )
        if not recorded:
            raise UnreachableError(
                f"version {result.model_version} was {done}, but the ledger did not record it",
                where=f"{spec.lake}/ledger/events",
                fix="fix the error in the line above; the retry asks again",
            )


def question(use_case: UseCase, result: GateResult) -> str:
    """Return the question with the facts for the decision, as Markdown.

    Args:
        use_case: The use case.
        result: Result of the gate.
    """
    version, champion = result.model_version, result.champion_version
    metrics = result.metrics
    problem = use_case.problem
    names = [n for n in (*problem.metrics, "rows", *problem.label_groups) if f"holdout_{n}" in metrics]
    links = [f"[{name.replace('_', ' ')}]({address})" for name, address in sorted(result.links.items())]
    lines = [
        f"Version {version} of **{use_case.title}** (`{use_case.name}`) passed the gate. Approved, it becomes "
        f"champion, {f'in place of version {champion}' if champion else 'the first one'}; rejected, nothing changes.",
        "",
        *(f"- {reason}" for reason in result.reasons),
        "",
        f"| On the holdout | Version {version} | {f'Champion, version {champion}' if champion else 'No champion'} |",
        "|---|---:|---:|",
        *(f"| {n} | {_figure(metrics, f'holdout_{n}')} | {_figure(metrics, f'champion_holdout_{n}')} |" for n in names),
        "",
        " · ".join(links),
    ]
    return "\n".join(lines)


def _figure(metrics: Mapping[str, float], name: str) -> str:
    value = metrics.get(name)
    if value is None:
        return ""
    return f"{value:,.0f}" if value.is_integer() else f"{value:.6f}"


def _gate_result(context: Context) -> tuple[JobSpec, GateResult]:
    """Return spec and result of this run's gate.

    Raises:
        TrainingError: when the gate was not run.
        GateError: when it has no result, or has failed.
    """
    from nightjar.lake.results import read_spec, task_result

    run = run_dir(context)
    where = f"{run}/gate/spec.json"
    try:
        spec = read_spec(where)
    except FileNotFoundError as error:
        raise TrainingError("`gate` was not run", where=where, fix="clear `gate` of this run") from error
    return spec, task_result(run, "gate", GateResult)
