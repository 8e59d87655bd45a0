"""What earlier tasks of a run, or earlier tries of a task, have left in the lake."""

from __future__ import annotations

import logging

from nightjar.contracts.errors import GateError, first_line
from nightjar.contracts.job import JobResult, JobSpec
from nightjar.lake import files

log = logging.getLogger(__name__)


def earlier_result(spec: JobSpec, task_id: str) -> JobResult:
    """Return the result of ``task_id`` of the same DAG run.

    Raises:
        GateError: when that task has no result, or has failed.
    """
    where = f"{spec.run_dir}/{task_id}/result.json"
    try:
        result = JobResult.from_json(files.read_text(where))
    except FileNotFoundError as error:
        raise GateError(f"`{task_id}` has left no result", where=where, fix=f"clear `{task_id}` of this run") from error
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise GateError(
            f"the result of `{task_id}` cannot be read ({first_line(error)})",
            where=where,
            fix=f"see who changed the file, then clear `{task_id}` of this run",
        ) from error
    if result.status != "succeeded":
        raise GateError(f"`{task_id}` has failed: {result.error}", where=where, fix=f"mend that, and clear `{task_id}`")
    return result


def finished_result(spec: JobSpec, file: str = "result.json") -> JobResult | None:
    """The succeeded result of this very spec, when it is there and the run was not asked to do it again.

    Args:
        spec: What is asked for.
        file: Where in the task's folder it is: a Spark task's ``result.json`` is removed when the task begins again.
    """
    if spec.params.get("force"):
        return None
    try:
        result = JobResult.from_json(files.read_text(f"{spec.output}/{file}"))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        log.warning("WARNING the earlier result cannot be read, and the work is done again: %s", first_line(error))
        return None
    return result if result.status == "succeeded" and result.spec_fingerprint == spec.fingerprint else None
