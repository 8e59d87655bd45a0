"""The result of a program of ``nightjar_jobs`` in the lake."""

from __future__ import annotations

from nightjar.protocol.errors import TrainingError
from nightjar.protocol.job import JobResult, JobSpec


def spec_uri(spec: JobSpec) -> str:
    """Return the location of the spec in the lake."""
    return f"{spec.output}/spec.json"


def result_of(spec: JobSpec) -> JobResult | None:
    """Return the result of exactly this spec; None without one."""
    from nightjar.lake.results import read_result

    try:
        result = read_result(f"{spec.output}/result.json", error=TrainingError)
    except FileNotFoundError:
        return None
    return result if result.spec_fingerprint == spec.fingerprint else None


def required_result(spec: JobSpec) -> JobResult:
    """Return the result of a program that has ended.

    Raises:
        TrainingError: when this spec has no result.
    """
    result = result_of(spec)
    if result is None:
        raise TrainingError(
            f"{spec.program} ended without a result for this spec",
            where=spec.output,
            fix="check that all ranks write to this lake (NIGHTJAR_LAKE), then clear the task",
        )
    return result
