"""What earlier tasks of a run, or earlier tries of a task, have left in the lake."""

from __future__ import annotations

from nightjar.contracts.errors import ConfigurationError
from nightjar.contracts.job import JobResult, JobSpec
from nightjar.lake import files


def finished_result(spec: JobSpec) -> JobResult | None:
    """The succeeded result of this very spec, when it is there and the run was not asked to do it again."""
    if spec.params.get("force"):
        return None
    try:
        result = JobResult.from_json(files.read_text(f"{spec.output}/result.json"))
    except FileNotFoundError:
        return None
    return result if result.status == "succeeded" and result.spec_fingerprint == spec.fingerprint else None


def result_of(spec: JobSpec, task_id: str) -> JobResult:
    """What an earlier task of the same run said.

    Raises:
        ConfigurationError: when it has not succeeded.
    """
    uri = f"{spec.run_dir}/{task_id}/result.json"
    try:
        result = JobResult.from_json(files.read_text(uri))
    except FileNotFoundError:
        result = JobResult(status="failed", error="it has not run")
    if result.status != "succeeded":
        raise ConfigurationError(
            f"{spec.program} needs the outcome of {task_id}, which has not succeeded ({result.error})",
            where=uri,
            fix=f"clear {task_id} of this run",
        )
    return result
