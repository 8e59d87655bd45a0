"""Writes to the ledger from Airflow, in a separate program, as its imports are too heavy for Airflow's processes."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from datetime import date
from typing import Any

from nightjar.protocol.errors import NightjarError
from nightjar.settings.environment import Settings

log = logging.getLogger(__name__)
TIMEOUT_SECONDS = 120


def record(event: str, *, use_case: str, night: date, **fields: Any) -> bool:
    """Append an event to the ledger; a failure is only logged, so that the caller can still report its own event.

    Args:
        event: Kind of event: ``failure``, ``late``, ``approval``.
        use_case: The use case concerned.
        night: Night of the event.
        fields: Other fields of :class:`nightjar.lake.ledger.Event`, JSON values only.

    Returns:
        Whether the event was recorded.
    """
    try:
        lake = Settings.from_environment().lake
        document = {"lake": lake, "ds": night.isoformat(), "event": event, "use_case": use_case, **fields}
        subprocess.run(
            [sys.executable, "-m", "nightjar_jobs.record_event"],
            input=json.dumps(document),
            text=True,
            capture_output=True,
            check=True,
            timeout=TIMEOUT_SECONDS,
        )
        return True
    except subprocess.CalledProcessError as error:
        log.error(
            "the ledger did not record %s: %s", event, (error.stderr.strip().splitlines() or ["no reason given"])[-1]
        )
    except (NightjarError, subprocess.TimeoutExpired) as error:
        log.error("the ledger did not record %s: %s", event, error)
    return False
