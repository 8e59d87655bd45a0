"""Results that earlier tasks of a run, or earlier attempts of a task, left in the lake."""

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
        FileNotFoundError: when the file does not exist.
        ConfigurationError: when it is not a valid spec.
    """
    fix = "clear the task, which writes it again"
    with reading("the spec", where=uri, fix=fix):
        return JobSpec.from_json(files.read_bytes(uri))


def read_result(uri: str, *, error: type[NightjarError] = LakeError) -> JobResult:
    """Return the result in a file.

    Raises:
        FileNotFoundError: when the file does not exist.
        NightjarError: of the class ``error``, when it is not a valid result.
    """
    fix = "find out who changed the file, then clear the task in whose folder it is"
    with reading("the result", where=uri, fix=fix, error=error):
        return JobResult.from_json(files.read_bytes(uri))


def earlier_result(spec: JobSpec, task_id: str) -> JobResult:
    """Return the result of ``task_id`` of the same DAG run.

    Raises:
        GateError: when that task failed, or has no readable result.
    """
    where = f"{spec.run_dir}/{task_id}/result.json"
    try:
        result = read_result(where, error=GateError)
    except FileNotFoundError as error:
        raise GateError(f"`{task_id}` has left no result", where=where, fix=f"clear `{task_id}` of this run") from error
    if result.status != "succeeded":
        raise GateError(f"`{task_id}` has failed: {result.error}", where=where, fix=f"fix that, and clear `{task_id}`")
    return result


def finished_result(spec: JobSpec, file: str = "result.json") -> JobResult | None:
    """Return the succeeded result of exactly this spec; None without one, or when the run has ``force`` set.

    Args:
        spec: Spec of the task.
        file: File name in the task's folder. A Spark task's ``result.json`` is removed when the task starts.
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
