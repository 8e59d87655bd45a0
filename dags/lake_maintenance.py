"""# Maintenance of the lake

Every Sunday: remove files that no reader needs any more, and compact the small files of the ledger.

| Table | What is done |
|---|---|
| each | remove files replaced, or written and never part of a version, more than `retention_days` ago |
| `ledger/events` | compact each day's small files into one |

**Dangers.** A version older than its table's retention cannot be read any more: a training frozen on it cannot be
reproduced. A running night loses nothing: its unpublished files are younger. Nights, readers and this DAG may run
concurrently; clearing any task is safe.
"""

from __future__ import annotations

from nightjar_airflow.dags import build_maintenance_dag
from use_cases.arrival_delay.use_case import USE_CASE as ARRIVAL_DELAY
from use_cases.departures.use_case import USE_CASE as DEPARTURES
from use_cases.digits.use_case import USE_CASE as DIGITS
from use_cases.flight_delay.use_case import USE_CASE as FLIGHT_DELAY
from use_cases.risky_flights.use_case import USE_CASE as RISKY_FLIGHTS

maintenance = build_maintenance_dag(
    [ARRIVAL_DELAY, DEPARTURES, DIGITS, FLIGHT_DELAY, RISKY_FLIGHTS], schedule="0 12 * * 0", doc_md=__doc__
)
