"""The operator that ends a night: incidents become alerts, and a training is asked for where the policy wants one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from nightjar.contracts.use_case import UseCase
from nightjar.lake import files
from nightjar_airflow.notifiers.channels import tell
from nightjar_airflow.operators.spark_program import SparkProgramOperator
from nightjar_airflow.specs import build_spec

if TYPE_CHECKING:
    from airflow.sdk import Context


class ReactOperator(SparkProgramOperator):
    """Runs ``react`` and tells people what it says; a backfill's nights are history, and tell nobody.

    What was told is kept in the task's folder of the lake, so that a cleared task tells only what is new. Killed
    between telling and keeping, it tells once more.

    Args:
        use_case: The use case.
    """

    def __init__(self, *, use_case: UseCase, **kwargs: Any) -> None:
        super().__init__(use_case=use_case, program="react", **kwargs)

    def execute(self, context: Context) -> dict[str, Any]:
        """Run the program, send its alerts, and return its summary."""
        summary: dict[str, Any] = super().execute(context)
        alerts = self.result.values["alerts"] if self.result else []
        if str(getattr(context["dag_run"].run_type, "value", context["dag_run"].run_type)) == "backfill":
            for text in alerts:
                self.log.info("not told, as this is a backfill: %s", text)
            return summary
        kept = f"{build_spec(context, self.use_case, self.program).output}/told.json"
        told = json.loads(files.read_text(kept)) if files.exists(kept) else []
        for text in alerts:
            if text not in told:
                tell(text, context)
                told.append(text)
                files.write_text(kept, json.dumps(told))
        return summary
