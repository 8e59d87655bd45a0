"""Run one program for one spec, always write its result, and record a failure in the ledger."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import replace

from nightjar.code_places import place_of
from nightjar.lake import files
from nightjar.lake.lake import Lake
from nightjar.protocol.documents import dump_json
from nightjar.protocol.errors import NightjarError
from nightjar.protocol.job import JobResult, JobSpec
from nightjar.settings.secrets import redacted

log = logging.getLogger(__name__)


def run_program(
    program: Callable[[JobSpec], JobResult],
    spec: JobSpec,
    *,
    before_failure: Callable[[], None] = lambda: None,
    before_result: Callable[[], None] = lambda: None,
) -> JobResult:
    """Run ``program``, write ``<output>/result.json`` and return the result.

    An exception of the program does not propagate: the failed result has a one-line error. An error while writing the
    result does.

    Args:
        program: The program.
        spec: Its job.
        before_failure: Called when the program has failed, before the failure is recorded.
        before_result: Called after logging and before the result is written.
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
    result = replace(result, program=spec.program, spec_fingerprint=spec.fingerprint, seconds=seconds)
    if result.status == "failed":
        before_failure()
        _record_failure(spec, result)
    else:
        log.info(result.summary())
    before_result()
    files.write_text(f"{spec.output}/result.json", dump_json(result))
    return result


def _unexpected(error: Exception, spec: JobSpec) -> str:
    """Return one line for an unexpected error, with the line of code that caused it."""
    return redacted(
        f"{type(error).__name__}: {_message(error)[:500]} | where: {spec.program} ({place_of(error)}) | how many: 1 "
        f"| do: read the traceback above; if the cause is gone, clear the task"
    )


def _message(error: Exception) -> str:
    """Return the first line of the error's text, or the exception line of a traceback in it."""
    lines = [line.strip() for line in str(error).strip().splitlines() if line.strip()] or ["no message"]
    traces = [number for number, line in enumerate(lines) if line.startswith("Traceback (most recent call last)")]
    if not traces:
        return lines[0]
    texts = str(error)[str(error).rindex("Traceback (most recent call last)") :].splitlines()[1:]
    return next((line for line in texts if line and not line.startswith(" ")), lines[0])


def _record_failure(spec: JobSpec, result: JobResult) -> None:
    from nightjar.lake import ledger

    try:
        details = {"kind": result.error_kind, "program": spec.program}
        if spec.map_index is not None:
            details["map_index"] = str(spec.map_index)
        ledger.record(Lake(spec.lake), ledger.Event.of(spec, "failure", reason=result.error, details=details))
    except Exception as error:  # the result must still be written
        log.error("the failure could not be written to the ledger: %s", error)
