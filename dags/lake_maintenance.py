"""# Maintenance of the lake

Every Sunday: what no reader needs any more is removed, and small files of the ledger are put together.

| Table | What is done |
|---|---|
| each | files go that were replaced, or that no version has ever held, longer than `retention_days` ago |
| `ledger/events` | each day's small files become one |

**Dangers.** A version older than its table's retention cannot be read any more: a training frozen on it cannot be
trained again. A night in flight loses nothing: its unpublished files are younger. Nights, readers and this DAG may run
beside each other; clearing any task is safe.
"""

from __future__ import annotations

from nightjar_airflow.dags import build_maintenance_dag
from use_cases.flight_delay.use_case import USE_CASE as FLIGHT_DELAY

maintenance = build_maintenance_dag([FLIGHT_DELAY], schedule="0 12 * * 0", doc_md=__doc__)
