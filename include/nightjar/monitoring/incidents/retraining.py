"""Whether monitoring asks for a training: by a declared policy, and never because of broken data. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from nightjar.declaration.monitoring import Retraining
from nightjar.monitoring.performance.intervals import Interval

BUDGET_DAYS = 30


@dataclass(frozen=True, kw_only=True)
class WatchedNight:
    """What monitoring found on one night.

    Attributes:
        night: The night.
        drifted: Its verdict was drift.
        below_floor: A night that it judged lies below the floor of performance.
        broken_data: An incident of its data was found: what drifted, or landed as labels, says nothing of the world.
        judged_broken_data: The same of the night that it judged.
    """

    night: date
    drifted: bool = False
    below_floor: bool = False
    broken_data: bool = False
    judged_broken_data: bool = False

    @property
    def in_breach(self) -> bool:
        """It counts."""
        return not self.broken_data and (self.drifted or (self.below_floor and not self.judged_broken_data))

    @property
    def excused(self) -> bool:
        """It would count, were it not for the data."""
        return (self.drifted or self.below_floor) and not self.in_breach


@dataclass(frozen=True, kw_only=True)
class Decision:
    """Whether a training is asked for.

    Attributes:
        request: It is.
        reason: Why one is wanted; empty when none is.
        blocked_by: Why a wanted one is not asked for; empty otherwise.
    """

    request: bool = False
    reason: str = ""
    blocked_by: str = ""


def decide(
    policy: Retraining,
    watched: Sequence[WatchedNight],
    tonight: date,
    *,
    auc: Interval | None,
    age_days: float | None,
    asked: Sequence[date],
) -> Decision:
    """Decide on the night ``tonight``.

    The same night decides the same again. One that runs after a later night has asked asks for nothing new, so that the
    cool-down and the budget hold in whatever order nights run.

    Args:
        policy: The declared one.
        watched: Nights watched, tonight among them; only those after the last request and among the last
            ``of_nights`` count.
        tonight: The night.
        auc: Over the last judged nights whose data were sound, nights being what is independent; None for too few.
        age_days: Days since the last day that the champion was trained on; None when unknown.
        asked: Nights of all requests.
    """
    last = max((night for night in asked if night < tonight), default=None)
    since = max(filter(None, [last, tonight - timedelta(days=policy.of_nights)]))
    window = [one for one in watched if since < one.night <= tonight]
    reason = _reason(policy, window, auc, age_days)
    if not reason:
        excused = sum(one.excused for one in window)
        breaches = excused + sum(one.in_breach for one in window)
        if excused and breaches >= policy.breaches:
            return Decision(
                reason=f"{breaches} of the last {policy.of_nights} nights were in breach",
                blocked_by=f"data incident: on {excused} of them the data were broken; mend them first",
            )
        return Decision()
    blocked_by = _blocked_by(policy, window, tonight, last, asked)
    return Decision(request=not blocked_by, reason=reason, blocked_by=blocked_by)


def _reason(policy: Retraining, window: Sequence[WatchedNight], auc: Interval | None, age_days: float | None) -> str:
    breaches = [one.night for one in window if one.in_breach]
    if len(breaches) >= policy.breaches:
        days = ", ".join(map(str, sorted(breaches)))
        return f"{len(breaches)} of the last {policy.of_nights} nights were in breach ({days})"
    if auc is not None and policy.min_auc is not None and auc.high < policy.min_auc:
        figures = f"{auc.value:.3f} ({auc.low:.3f} to {auc.high:.3f})"
        return f"over the last judged nights the AUC is {figures}, below the floor of {policy.min_auc:g}"
    if age_days is not None and age_days > policy.max_age_days:
        return f"the champion knows nothing of the last {age_days:.0f} days (at most {policy.max_age_days})"
    return ""


def _blocked_by(
    policy: Retraining, window: Sequence[WatchedNight], tonight: date, last: date | None, asked: Sequence[date]
) -> str:
    if any(one.broken_data for one in window if one.night == tonight):
        return "data incident: tonight's data are broken, and would be trained on"
    if tonight not in asked and any(night > tonight for night in asked):
        return f"one was asked for on {max(asked)}, a later night"
    if last is not None and (tonight - last).days < policy.cooldown_days:
        return f"cool-down: one was asked for on {last}"
    recent = {night for night in asked if 0 < (tonight - night).days < BUDGET_DAYS}
    if len(recent) >= policy.max_per_month:
        return f"budget: {len(recent)} were asked for in {BUDGET_DAYS} days"
    return ""
