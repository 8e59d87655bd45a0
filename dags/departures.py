"""# Departures of the coming week

Each night, after day D has ended in New York, the departures of each airport and hour are forecast for D+1 to D+7:
the median and the quantiles 0.1 and 0.9.

| DAG | When | What |
|---|---|---|
| `departures_history` | by hand | loads a range of nights: raw tables, features, labels |
| `departures_training` | Mondays 06:00, by hand, on asset `retrain/departures` | trains, evaluates, promotes |
| `departures_nightly` | 03:00 New York | forecasts D+1 to D+7 into `scores/departures`, then reports drift |

**Params, dangers.** `interval_start` and `interval_end` override the run's own nights; clearing any task is safe.
Nights 2013-01-01 to 2013-12-30 are recorded. Labels of a night are complete seven nights later.
"""

from __future__ import annotations

from nightjar_airflow.dags import build_history_dag, build_nightly_dag, build_training_dag
from use_cases.departures.use_case import USE_CASE

history = build_history_dag(USE_CASE, doc_md=__doc__)
training = build_training_dag(USE_CASE, doc_md=__doc__)
nightly = build_nightly_dag(USE_CASE, doc_md=__doc__)
