"""Land the nights of a recorded history as if their files had just arrived."""

from __future__ import annotations

import logging
import time
from datetime import UTC, datetime
from importlib import import_module
from typing import Any

from nightjar.declaration.use_case import load_use_case
from nightjar.protocol.job import JobResult, JobSpec
from nightjar.settings.environment import Settings
from nightjar_jobs.runner import main

log = logging.getLogger(__name__)


def run(spec: JobSpec) -> JobResult:
    """Write the nights without a landing folder by the use case's ``landing`` module; existing folders are unchanged.

    Raises:
        ConfigurationError: for nights in the future.
        SourceError: for nights that the record does not have.
    """
    began = time.monotonic()
    use_case = load_use_case(spec.use_case)
    nights = spec.nights(use_case.schedule.timezone)
    nights.check_past(datetime.now(UTC))
    landing: Any = import_module(f"use_cases.{use_case.name}.landing")
    rows = landing.land(nights, Settings.from_environment().landing)
    log.info("nights %s: %d rows landed", nights, rows)
    return JobResult(status="succeeded", rows_in=rows, rows_out=rows, seconds={"land": time.monotonic() - began})


if __name__ == "__main__":
    main(run)
