"""Write to the ledger what happened on Airflow's side: ``python -m nightjar_jobs.record_event``.

Standard input holds one JSON document: ``lake``, ``ds``, and the fields of :class:`nightjar.lake.ledger.Event`.
"""

from __future__ import annotations

import json
import os
import sys
from datetime import date

from nightjar.contracts.errors import NightjarError
from nightjar.lake import ledger


def main() -> None:
    """Record the event; the last line of the output says why it could not."""
    document = json.load(sys.stdin)
    lake, ds = document.pop("lake"), date.fromisoformat(document.pop("ds"))
    try:
        ledger.record(lake, ledger.Event(ds=ds, **document))
    except NightjarError as error:
        sys.exit(str(error))
    os._exit(0)  # as in the runner: the exit code must not depend on libraries' threads


if __name__ == "__main__":
    main()
