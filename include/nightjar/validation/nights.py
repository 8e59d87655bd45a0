"""Judge a night's figures: against the declared night rules, and against the last nights.

A declared rule stops the night or warns; an undeclared anomaly only warns.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, time

from nightjar.declaration.data import Source
from nightjar.declaration.rules import NightRule
from nightjar.protocol.nights import Nights
from nightjar.validation.anomalies import anomalies
from nightjar.validation.comparison import distance_from, expected_range_of, of_column
from nightjar.validation.expected_range import MIN_NIGHTS
from nightjar.validation.judged import Judged, NightFigures, expected, named, number, words_for


def judge(
    source: Source, night: date, tonight: NightFigures, history: Mapping[date, NightFigures], *, timezone: str
) -> list[Judged]:
    """Return the verdict of every declared rule that can be judged, and the undeclared anomalies.

    Args:
        source: The source, with its rules and ``expected_to_vary`` columns.
        night: Night to judge.
        tonight: Figures of that night.
        history: Figures of earlier nights.
        timezone: Time zone of the nights.
    """
    history = {day: figures for day, figures in sorted(history.items()) if day < night}
    night_ends = Nights(first=night, last=night, timezone=timezone).prediction_moment(night)
    midnight = datetime.combine(night, time.min, UTC)
    declared = [
        verdict
        for rule in source.night_rules
        if (verdict := _declared(source, rule, night, tonight, history, (night_ends - midnight).total_seconds() / 3600))
    ]
    known = {(verdict.column, verdict.figure) for verdict in declared if not verdict.kept}
    anomalous = anomalies(source, night, tonight, history)
    undeclared = [finding for finding in anomalous if (finding.column, finding.figure) not in known]
    return [*declared, *undeclared]


def not_yet(source: Source, history_nights: int) -> list[NightRule]:
    """Return declared rules that cannot be judged until there are more nights."""
    if history_nights >= MIN_NIGHTS:
        return []
    return [rule for rule in source.night_rules if rule.relative_to_recent_nights or rule.figure == "distance"]


def _declared(
    source: Source,
    rule: NightRule,
    night: date,
    tonight: NightFigures,
    history: Mapping[date, NightFigures],
    ends_hours: float,
) -> Judged | None:
    if rule.column not in tonight:  # every row was rejected
        return None
    figures = tonight[rule.column]
    center: float | None = None
    low, high = rule.low, rule.high
    if rule.figure == "distance":
        observed = distance_from(figures, of_column(history, rule.column))
    elif rule.figure == "newest_age_hours":
        observed = None if figures.maximum is None else ends_hours - figures.maximum
    else:
        observed = figures.value(rule.figure)
        if rule.relative_to_recent_nights:
            limits = expected_range_of(rule.figure, rule.column, night, tonight, history)
            if limits is None:
                return None
            center = limits.center
            low, high = (None if bound is None else bound * center for bound in (rule.low, rule.high))
    if observed is None:
        return None
    kept = (low is None or observed >= low) and (high is None or observed <= high)
    what = f"{named(source, rule.column)}: {words_for(rule.figure)} {number(observed)} {rule.unit}".rstrip()
    return Judged(
        table=source.table.name,
        column=rule.column,
        night=night,
        figure=rule.figure,
        rule=rule.name,
        severity=rule.severity,
        kept=kept,
        observed=observed,
        low=low,
        high=high,
        usual=center,
        what=f"{what}, {expected(low, high, center)} ({rule.reason})",
    )
