"""# Flight delays out of New York

Each night, after day D has ended in New York, every flight scheduled on D+1 gets the probability that it arrives more
than 15 minutes late. The prediction moment is midnight between D and D+1.

| DAG | When | What |
|---|---|---|
| `flight_delay_history` | by hand | loads a range of nights: raw tables, features, labels |
| `flight_delay_training` | Mondays 04:00, by hand, on asset `retrain/flight_delay` | trains, evaluates, promotes |
| `flight_delay_nightly` | 02:00 New York | scores D+1 into `scores/flight_delay`, then reports drift |

**Params.** `interval_start` and `interval_end` (local days, inclusive) override the run's own nights; without them
training uses all available nights. `model_version` scores with another version than the champion; `force` repeats a
training that has been done, and lets a rerun night select its model again.

**Dangers.** None to readers: scores are written, audited and published in one commit that replaces exactly the nights
of the run. Clearing any task is safe. A run over many nights replaces all of them.

The sources are a recorded year: nights 2013-01-01 to 2013-12-30. Runs that the schedule makes for later nights are
skipped; trigger with an interval, or backfill, to see it work.
"""

from __future__ import annotations

from nightjar_airflow.dags import build_history_dag, build_nightly_dag, build_training_dag
from use_cases.flight_delay.use_case import USE_CASE

history = build_history_dag(USE_CASE, doc_md=__doc__)
training = build_training_dag(USE_CASE, doc_md=__doc__)
nightly = build_nightly_dag(USE_CASE, doc_md=__doc__)
