"""Evidence for the retraining policy, from the monitoring tables."""

from __future__ import annotations

from datetime import date, timedelta

from nightjar.declaration.monitoring import Retraining
from nightjar.declaration.use_case import UseCase
from nightjar.lake.lake import Lake
from nightjar.monitoring.data_quality.table import nights_of_broken_data
from nightjar.monitoring.drift.findings import drifted_nights
from nightjar.monitoring.incidents.retraining import WatchedNight
from nightjar.monitoring.performance.findings import NIGHTS, over_nights
from nightjar.monitoring.performance.intervals import Interval
from nightjar.monitoring.performance.monitored import Monitored
from nightjar.monitoring.performance.registry import performance_problem
from nightjar.monitoring.performance.rows import PerformanceRow
from nightjar.monitoring.performance.table import judged_nights, read_performance


def collect_evidence(
    lake: Lake, use_case: UseCase, policy: Retraining, night: date, *, champion: str
) -> tuple[list[WatchedNight], Interval | None]:
    """Return the nights in the policy's window, and the monitored metric over the last judged nights.

    Only the champion's scores count.

    Args:
        lake: The lake.
        use_case: The use case.
        policy: The use case's policy.
        night: The night.
        champion: Version of the model that scored the night; results of other versions do not count against it.
    """
    monitored = performance_problem(use_case.problem).monitored
    lag = timedelta(days=use_case.matured_after_nights)
    window = _last(night, policy.of_nights)
    judged_window = sorted({*(day - lag for day in window), *_last(night - lag, NIGHTS)})
    broken = nights_of_broken_data(lake, use_case.name, {*window, *judged_window})
    rows = read_performance(lake, use_case.name, judged_window)
    judged = {
        day: metrics[monitored.name]
        for day, metrics in judged_nights(rows, night).items()
        if metrics[monitored.name].model_version == champion
    }
    drifted = drifted_nights(lake, use_case, window, model_version=champion)
    watched = [
        WatchedNight(
            night=day,
            drifted=day in drifted,
            beyond_bound=_beyond_bound(judged.get(day - lag), monitored, monitored.bound(policy), day),
            broken_data=day in broken,
            judged_broken_data=day - lag in broken,
        )
        for day in window
    ]
    sound = [{monitored.name: row} for day, row in judged.items() if day not in broken][-NIGHTS:]
    return watched, over_nights(sound, monitored.name, "value", use_case.monitoring.performance.confidence)


def _last(night: date, count: int) -> list[date]:
    return [night - timedelta(days=i) for i in range(count)]


def _beyond_bound(judged: PerformanceRow | None, monitored: Monitored, bound: float | None, on: date) -> bool:
    """Whether the whole interval of the metric that was judged ``on`` this night is worse than the bound."""
    if judged is None or bound is None or judged.judged_on != on or judged.interval is None:
        return False
    return monitored.is_all_worse(judged.interval, bound)
