"""# Arrival delays out of New York

Each night, after day D has ended in New York, every flight scheduled on D+1 gets its expected arrival delay in minutes:
the median, three more quantiles, and the number of minutes to plan for (`decision`).

| DAG | When | What |
|---|---|---|
| `arrival_delay_history` | by hand | loads a range of nights: raw tables, features, labels |
| `arrival_delay_training` | Mondays 05:00, by hand, on asset `retrain/arrival_delay` | trains, evaluates, promotes |
| `arrival_delay_nightly` | 02:30 New York | scores D+1 into `scores/arrival_delay`, then reports drift |

**Params, dangers.** As for `flight_delay`, whose sources and features it uses: `interval_start` and `interval_end`
override the run's own nights; clearing any task is safe. Nights 2013-01-01 to 2013-12-30 are recorded.
"""

from __future__ import annotations

from nightjar_airflow.dags import build_history_dag, build_nightly_dag, build_training_dag
from use_cases.arrival_delay.use_case import USE_CASE

history = build_history_dag(USE_CASE, doc_md=__doc__)
training = build_training_dag(USE_CASE, doc_md=__doc__)
nightly = build_nightly_dag(USE_CASE, doc_md=__doc__)
