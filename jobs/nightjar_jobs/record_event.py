"""Record an event of Airflow in the ledger: ``python -m nightjar_jobs.record_event``.

Standard input is one JSON document: ``lake``, ``ds``, and the fields of :class:`nightjar.lake.ledger.Event`.
"""

from __future__ import annotations

import os
import sys
from datetime import date

from nightjar.lake import ledger
from nightjar.lake.lake import Lake
from nightjar.protocol.documents import parse_object, reading
from nightjar.protocol.errors import NightjarError


def main() -> None:
    """Record the event; on failure the last line of the output is the error."""
    try:
        with reading("the event", where="standard input", fix="give the JSON that nightjar_airflow.ledger writes"):
            document = parse_object(sys.stdin.buffer.read())
            lake, ds = document.pop("lake"), date.fromisoformat(document.pop("ds"))
            event = ledger.Event(ds=ds, **document)
        ledger.record(Lake(lake), event)
    except NightjarError as error:
        sys.exit(str(error))
    os._exit(0)  # as in the runner: threads of libraries must not change the exit code


if __name__ == "__main__":
    main()
