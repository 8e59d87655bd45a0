"""Run one program for one spec: the result is written whatever happens, and a failure goes to the ledger."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import replace

from nightjar.code_places import place_of
from nightjar.lake import files
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

    Args:
        program: What to run.
        spec: What for.
        before_failure: Called when the program has failed, before that is recorded anywhere.
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
        before_failure()
        _to_ledger(spec, result)
    else:
        log.info(result.summary())
    before_result()
    files.write_text(f"{spec.output}/result.json", result.to_json())
    return result


def _unexpected(error: Exception, spec: JobSpec) -> str:
    """One line for an error that nobody foresaw, with the line of code to mend."""
    return redacted(
        f"{type(error).__name__}: {_message(error)[:500]} | where: {spec.program} ({place_of(error)}) | how many: 1 "
        f"| do: read the traceback above; if the cause is gone, clear the task"
    )


def _message(error: Exception) -> str:
    """The line of the error's text that says most: the first, or the last of a traceback that the text holds."""
    lines = [line.strip() for line in str(error).strip().splitlines() if line.strip()] or ["no message"]
    traces = [number for number, line in enumerate(lines) if line.startswith("Traceback (most recent call last)")]
    if not traces:
        return lines[0]
    texts = str(error)[str(error).rindex("Traceback (most recent call last)") :].splitlines()[1:]
    return next((line for line in texts if line and not line.startswith(" ")), lines[0])


def _to_ledger(spec: JobSpec, result: JobResult) -> None:
    from nightjar.lake import ledger

    try:
        details = {"kind": result.error_kind, "program": spec.program}
        if spec.map_index is not None:
            details["map_index"] = str(spec.map_index)
        ledger.record(spec.lake, ledger.Event.of(spec, "failure", reason=result.error, details=details))
    except Exception as error:  # the failure itself must still be reported
        log.error("the failure could not be written to the ledger: %s", error)
