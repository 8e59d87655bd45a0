"""What earlier tasks of a run, or earlier tries of a task, have left in the lake."""

from __future__ import annotations

import logging

from nightjar.lake import files
from nightjar.protocol.documents import reading
from nightjar.protocol.errors import GateError, LakeError, NightjarError
from nightjar.protocol.job import JobResult, JobSpec

log = logging.getLogger(__name__)


def read_spec(uri: str) -> JobSpec:
    """Return the spec in a file.

    Raises:
        FileNotFoundError: when there is none.
        ConfigurationError: when it is no spec.
    """
    fix = "clear the task, which writes it again"
    with reading("the spec", where=uri, fix=fix):
        return JobSpec.from_json(files.read_bytes(uri))


def read_result(uri: str, *, error: type[NightjarError] = LakeError) -> JobResult:
    """Return the result in a file.

    Raises:
        FileNotFoundError: when there is none.
        NightjarError: of the class ``error``, when it is no result.
    """
    fix = "see who changed the file, then clear the task in whose folder it is"
    with reading("the result", where=uri, fix=fix, error=error):
        return JobResult.from_json(files.read_bytes(uri))


def earlier_result(spec: JobSpec, task_id: str) -> JobResult:
    """Return the result of ``task_id`` of the same DAG run.

    Raises:
        GateError: when that task has no result, or one that cannot be read, or has failed.
    """
    where = f"{spec.run_dir}/{task_id}/result.json"
    try:
        result = read_result(where, error=GateError)
    except FileNotFoundError as error:
        raise GateError(f"`{task_id}` has left no result", where=where, fix=f"clear `{task_id}` of this run") from error
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
        result = read_result(f"{spec.output}/{file}")
    except FileNotFoundError:
        return None
    except LakeError as error:
        log.warning("WARNING the work is done again: %s", error)
        return None
    return result if result.status == "succeeded" and result.spec_fingerprint == spec.fingerprint else None
