"""Run one program for one spec: the result is written whatever happens, and a failure goes to the ledger."""

from __future__ import annotations

import logging
import time
import traceback
from collections.abc import Callable
from dataclasses import replace

from nightjar.contracts.errors import NightjarError
from nightjar.contracts.job import JobResult, JobSpec
from nightjar.lake import files

log = logging.getLogger(__name__)


def run_program(
    program: Callable[[JobSpec], JobResult], spec: JobSpec, *, before_result: Callable[[], None] = lambda: None
) -> JobResult:
    """Run ``program``, write ``<output>/result.json`` and return the result.

    Args:
        program: What to run.
        spec: What for.
        before_result: Called last before the result is written, when all has been logged.

    Never raises for what the program raises: the failed result carries the one-line error. A lake that takes no
    result raises, as nobody could read it.
    """
    started = time.monotonic()
    try:
        result = program(spec)
    except NightjarError as error:
        log.debug("traceback", exc_info=True)
        result = JobResult(status="failed", error=str(error), error_kind=error.kind, retryable=error.retryable)
    except Exception as error:
        log.exception("unexpected error")
        result = JobResult(status="failed", error=_unexpected(error, spec), error_kind="unexpected", retryable=True)
    seconds = {**result.seconds, "total": round(time.monotonic() - started, 3)}
    result = replace(result, spec_fingerprint=spec.fingerprint, seconds=seconds)
    if result.status == "failed":
        _to_ledger(spec, result)
    else:
        log.info(result.summary())
    before_result()
    files.write_text(f"{spec.output}/result.json", result.to_json())
    return result


def _unexpected(error: Exception, spec: JobSpec) -> str:
    """One line for an error that nobody foresaw, pointing at the deepest line of it."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f"{frames[-1].filename.rsplit('/', 1)[-1]}:{frames[-1].lineno}" if frames else "?"
    first_line = str(error).strip().splitlines()[0][:500] if str(error).strip() else "no message"
    return (
        f"{type(error).__name__}: {first_line} | where: {spec.program} ({place}) | how many: 1 "
        f"| do: read the traceback above; if the cause is gone, clear the task"
    )


def _to_ledger(spec: JobSpec, result: JobResult) -> None:
    from nightjar.lake import ledger

    try:
        details = {"kind": result.error_kind, "program": spec.program}
        if spec.map_index is not None:
            details["map_index"] = str(spec.map_index)
        ledger.record(spec.lake, ledger.Event.of(spec, "failure", reason=result.error, details=details))
    except Exception as error:  # the failure itself must still be reported
        log.error("the failure could not be written to the ledger: %s", error)
