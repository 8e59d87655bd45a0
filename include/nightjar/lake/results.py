"""Results that earlier tasks of a run, or earlier attempts of a task, left in the lake."""

from __future__ import annotations

import logging
from typing import TypeVar

from nightjar.lake import files
from nightjar.protocol.documents import load_json, reading
from nightjar.protocol.errors import GateError, LakeError, NightjarError
from nightjar.protocol.job import JobResult, JobSpec
from nightjar.protocol.names import path_segment
from nightjar.protocol.results import parse_result

R = TypeVar("R", bound=JobResult)

log = logging.getLogger(__name__)


def read_spec(uri: str) -> JobSpec:
    """Return the spec in a file.

    Raises:
        FileNotFoundError: when the file does not exist.
        ConfigurationError: when it is not a valid spec.
    """
    fix = "clear the task, which writes it again"
    with reading("the spec", where=uri, fix=fix):
        return load_json(JobSpec, files.read_bytes(uri))


def read_result(uri: str, *, error: type[NightjarError] = LakeError) -> JobResult:
    """Return the result in a file.

    Raises:
        FileNotFoundError: when the file does not exist.
        NightjarError: of the class ``error``, when it is not a valid result.
    """
    fix = "find out who changed the file, then clear the task in whose folder it is"
    with reading("the result", where=uri, fix=fix, error=error):
        return parse_result(files.read_bytes(uri))


def earlier_result(spec: JobSpec, cls: type[R]) -> R:
    """Return the result of an earlier task of the same DAG run.

    Args:
        spec: Spec of the task that reads it.
        cls: Class of the result; its ``PROGRAM`` is also the name of the task.

    Raises:
        GateError: when that task failed, or has no readable result.
    """
    return task_result(spec.run_dir, cls.PROGRAM, cls)


def task_result(run_dir: str, task_id: str, cls: type[R]) -> R:
    """Return the result of a task of a DAG run.

    Args:
        run_dir: Folder of the run in the lake.
        task_id: The task.
        cls: Class of the result.

    Raises:
        GateError: when the task failed, or has no readable result of this class.
    """
    where = f"{run_dir}/{path_segment(task_id)}/result.json"
    try:
        result = read_result(where, error=GateError)
    except FileNotFoundError as error:
        raise GateError(f"`{task_id}` has left no result", where=where, fix=f"clear `{task_id}` of this run") from error
    if result.status != "succeeded":
        raise GateError(f"`{task_id}` has failed: {result.error}", where=where, fix=f"fix that, and clear `{task_id}`")
    if not isinstance(result, cls):
        raise GateError(
            f"the result of `{task_id}` is one of {result.program or 'no program'}",
            where=where,
            fix=f"find out who changed the file, then clear `{task_id}` of this run",
        )
    return result


def finished_result(spec: JobSpec, cls: type[R], file: str = "result.json") -> R | None:
    """Return the succeeded result of exactly this spec; None without one, or when the run has ``force`` set.

    Args:
        spec: Spec of the task.
        cls: Class of its result.
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
    is_done = result.status == "succeeded" and result.spec_fingerprint == spec.fingerprint
    return result if is_done and isinstance(result, cls) else None
