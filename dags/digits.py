"""# Handwritten digits

Each night, the digits that were scanned on day D get a class, 0 to 9, and the probability of each class. The next day a
person reads them: that is their label. The smallest use case with several classes.

| DAG | When | What |
|---|---|---|
| `digits_history` | by hand | loads a range of nights: raw tables, features, labels |
| `digits_training` | Mondays 03:00, by hand, on asset `retrain/digits` | trains, evaluates, promotes |
| `digits_nightly` | 01:00 UTC | scores the day's scans into `scores/digits`, then reports drift |

**Params, dangers.** As for every use case: `interval_start` and `interval_end` override the run's own nights; clearing
any task is safe. The sources are recorded: nights 2024-01-01 to 2024-02-11.
"""

from __future__ import annotations

from nightjar_airflow.dags import build_history_dag, build_nightly_dag, build_training_dag
from use_cases.digits.use_case import USE_CASE

history = build_history_dag(USE_CASE, doc_md=__doc__)
training = build_training_dag(USE_CASE, doc_md=__doc__)
nightly = build_nightly_dag(USE_CASE, doc_md=__doc__)
