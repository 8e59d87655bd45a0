"""# Flights to watch

Each night, after day D has ended in New York, the flights scheduled on D+1 are ranked within their airport: those that
are likely to be late come first.

| DAG | When | What |
|---|---|---|
| `risky_flights_history` | by hand | loads a range of nights: raw tables, features, labels |
| `risky_flights_training` | Mondays 07:00, by hand, on asset `retrain/risky_flights` | trains, evaluates, promotes |
| `risky_flights_nightly` | 03:15 New York | ranks the flights of D+1 into `scores/risky_flights`, then reports drift |

**Params, dangers.** As for `flight_delay`, whose sources and features it uses: `interval_start` and `interval_end`
override the run's own nights; clearing any task is safe. Nights 2013-01-01 to 2013-12-30 are recorded.
"""

from __future__ import annotations

from nightjar_airflow.dags import build_history_dag, build_nightly_dag, build_training_dag
from use_cases.risky_flights.use_case import USE_CASE

history = build_history_dag(USE_CASE, doc_md=__doc__)
training = build_training_dag(USE_CASE, doc_md=__doc__)
nightly = build_nightly_dag(USE_CASE, doc_md=__doc__)
