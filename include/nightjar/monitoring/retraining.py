"""Whether monitoring asks for a training: by a declared policy, and never because of broken data. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from nightjar.contracts.monitoring import Retraining

BUDGET_DAYS = 30


@dataclass(frozen=True, kw_only=True)
class WatchedNight:
    """What monitoring found on one night.

    Attributes:
        night: The night.
        drifted: Its verdict was drift.
        below_floor: A night that it judged lies below the floor of performance.
        broken_data: An incident of its data was found: what drifted then says nothing of the world.
    """

    night: date
    drifted: bool = False
    below_floor: bool = False
    broken_data: bool = False

    @property
    def in_breach(self) -> bool:
        return (self.drifted or self.below_floor) and not self.broken_data


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
    age_days: float | None,
    asked: Sequence[date],
) -> Decision:
    """Decide on the night ``tonight``.

    Args:
        policy: The declared one.
        watched: Nights watched, tonight among them; only those after the last request and among the last
            ``of_nights`` count.
        tonight: The night.
        age_days: Days since the last day that the champion was trained on; None when unknown.
        asked: Nights of earlier requests.
    """
    earlier = [night for night in asked if night < tonight]
    last = max(earlier, default=None)
    since = max(filter(None, [last, tonight - timedelta(days=policy.of_nights)]))
    window = [one for one in watched if since < one.night <= tonight]
    breaches = [one.night for one in window if one.in_breach]
    reason = _reason(policy, breaches, age_days)
    if not reason:
        broken = sum(one.broken_data and (one.drifted or one.below_floor) for one in window)
        if len(breaches) + broken >= policy.breaches:
            return Decision(
                reason=f"{len(breaches) + broken} of the last {policy.of_nights} nights were in breach",
                blocked_by=f"broken data on {broken} of them: mend the data first",
            )
        return Decision()
    if any(one.broken_data for one in window if one.night == tonight):
        return Decision(reason=reason, blocked_by="broken data tonight: it would be trained on")
    if last is not None and (tonight - last).days < policy.cooldown_days:
        return Decision(reason=reason, blocked_by=f"cool-down: one was asked for on {last}")
    recent = [night for night in earlier if (tonight - night).days < BUDGET_DAYS]
    if len(recent) >= policy.max_per_month:
        return Decision(reason=reason, blocked_by=f"budget: {len(recent)} were asked for in {BUDGET_DAYS} days")
    return Decision(request=True, reason=reason)


def _reason(policy: Retraining, breaches: Sequence[date], age_days: float | None) -> str:
    if len(breaches) >= policy.breaches:
        days = ", ".join(map(str, breaches))
        return f"{len(breaches)} of the last {policy.of_nights} nights were in breach ({days})"
    if age_days is not None and age_days > policy.max_age_days:
        return f"the champion knows nothing of the last {age_days:.0f} days (at most {policy.max_age_days})"
    return ""
