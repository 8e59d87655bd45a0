"""Decide whether to request a retraining, by a declared policy and not on broken data. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from nightjar.declaration.monitoring import Retraining
from nightjar.monitoring.performance.intervals import Interval
from nightjar.monitoring.performance.monitored import Monitored
from nightjar.protocol.incidents import RetrainingDecision

BUDGET_DAYS = 30


@dataclass(frozen=True, kw_only=True)
class WatchedNight:
    """Results of monitoring on one night.

    Attributes:
        night: The night.
        drifted: Whether the verdict was drift.
        beyond_bound: Whether the monitored metric of the night that it judged is worse than the floor or ceiling.
        broken_data: Whether its data were broken, so that drift and labels are not reliable.
        judged_broken_data: Whether the data of the judged night were broken.
    """

    night: date
    drifted: bool = False
    beyond_bound: bool = False
    broken_data: bool = False
    judged_broken_data: bool = False

    @property
    def in_breach(self) -> bool:
        """Whether the night counts as a breach."""
        return not self.broken_data and (self.drifted or (self.beyond_bound and not self.judged_broken_data))

    @property
    def excused(self) -> bool:
        """Whether only broken data keep the night from counting as a breach."""
        return (self.drifted or self.beyond_bound) and not self.in_breach


def decide(
    policy: Retraining,
    watched: Sequence[WatchedNight],
    night: date,
    *,
    monitored: Monitored,
    over_nights: Interval | None,
    age_days: float | None,
    requested: Sequence[date],
) -> RetrainingDecision:
    """Decide on a night.

    The decision is deterministic. A night that runs after a later night has requested a retraining requests none, so
    that the cool-down and the budget hold in any order of nights.

    Args:
        policy: The declared policy.
        watched: Monitored nights, including this one; those after the last request and among the last ``of_nights``
            count.
        night: The night.
        monitored: The monitored metric of the problem type.
        over_nights: The metric over the last judged nights with sound data, with nights as independent units; None for
            too few.
        age_days: Days since the champion's last training day; None when unknown.
        requested: Nights of all requests.
    """
    last = max((day for day in requested if day < night), default=None)
    since = max(filter(None, [last, night - timedelta(days=policy.of_nights)]))
    window = [watched_night for watched_night in watched if since < watched_night.night <= night]
    reason = _reason(policy, window, monitored, over_nights, age_days)
    if not reason:
        excused = sum(watched_night.excused for watched_night in window)
        breaches = excused + sum(watched_night.in_breach for watched_night in window)
        if excused and breaches >= policy.breaches:
            return RetrainingDecision(
                reason=f"{breaches} of the last {policy.of_nights} nights were in breach",
                blocked_by=f"data incident: the data of {excused} of them were broken; repair them first",
            )
        return RetrainingDecision()
    blocked_by = _blocked_by(policy, window, night, last, requested)
    return RetrainingDecision(request=not blocked_by, reason=reason, blocked_by=blocked_by)


def _reason(
    policy: Retraining,
    window: Sequence[WatchedNight],
    monitored: Monitored,
    over_nights: Interval | None,
    age_days: float | None,
) -> str:
    breaches = [watched_night.night for watched_night in window if watched_night.in_breach]
    if len(breaches) >= policy.breaches:
        days = ", ".join(map(str, sorted(breaches)))
        return f"{len(breaches)} of the last {policy.of_nights} nights were in breach ({days})"
    bound = monitored.bound(policy)
    if over_nights is not None and bound is not None and monitored.is_all_worse(over_nights, bound):
        value = f"the {monitored.words.phrase} is {monitored.words.plain_interval(over_nights)}"
        side = f"{monitored.worse_side} the {monitored.bound_name}"
        return f"over the last judged nights {value}, {side} of {bound:g}"
    if age_days is not None and age_days > policy.max_age_days:
        return f"the champion's training data are {age_days:.0f} days old (at most {policy.max_age_days})"
    return ""


def _blocked_by(
    policy: Retraining, window: Sequence[WatchedNight], night: date, last: date | None, requested: Sequence[date]
) -> str:
    if any(watched_night.broken_data for watched_night in window if watched_night.night == night):
        return "data incident: the data of this night are broken and would be used for training"
    if night not in requested and any(day > night for day in requested):
        return f"a later night, {max(requested)}, has requested one"
    if last is not None and (night - last).days < policy.cooldown_days:
        return f"cool-down: the last request was on {last}"
    recent = {day for day in requested if 0 < (night - day).days < BUDGET_DAYS}
    if len(recent) >= policy.max_per_month:
        return f"budget: {len(recent)} requests in {BUDGET_DAYS} days"
    return ""
