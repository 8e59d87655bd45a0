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

from nightjar.declaration.use_case import load_use_cases
from nightjar_airflow.dags import build_maintenance_dag

maintenance = build_maintenance_dag(load_use_cases(), schedule="0 12 * * 0", doc_md=__doc__)
