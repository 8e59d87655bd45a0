"""The lake's handle: addresses, and what importing it costs."""

from __future__ import annotations

import subprocess
import sys
from datetime import date

from nightjar.lake import ledger
from nightjar.lake.lake import Lake


def test_addresses_are_below_the_root() -> None:
    lake = Lake("s3a://bucket/lake")
    assert str(lake) == lake.uri == "s3a://bucket/lake"
    assert lake.table(ledger.TABLE).uri == lake.table_uri("ledger/events") == "s3a://bucket/lake/ledger/events"
    assert (
        lake.report_uri("flight_delay", date(2013, 4, 1), "drift")
        == "s3a://bucket/lake/reports/flight_delay/2013-04-01/drift.html"
    )


def test_import_loads_neither_delta_nor_arrow() -> None:
    command = "import sys, nightjar.lake.lake; print(sorted({'deltalake', 'pyarrow', 'numpy'} & set(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
