"""The gate's judgement: pure, from figures to a verdict with reasons."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from nightjar.contracts.errors import GateError
from nightjar.contracts.use_case import Gate

CHALLENGER = "holdout_"
CHAMPION = "champion_holdout_"
BASELINE = "baseline_holdout_"


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What the gate says.

    Attributes:
        decision: ``promote``: the challenger becomes champion. ``keep``: the champion stays. ``refused``: the
            challenger misses a floor or ceiling, and there is no champion to keep.
        reasons: One sentence per rule that was looked at, with both figures.
    """

    decision: Literal["promote", "keep", "refused"]
    reasons: tuple[str, ...]


def judge(gate: Gate, metrics: Mapping[str, float], *, champion: str | None) -> Verdict:
    """Judge a challenger by its figures on the holdout.

    Args:
        gate: Floors, ceilings, rows and improvement asked for.
        metrics: ``holdout_<metric>``, ``baseline_holdout_<metric>`` and, with a champion,
            ``champion_holdout_<metric>``.
        champion: The champion's version; None when there is none.

    Raises:
        GateError: when a figure that it needs is missing or no number, or the holdout is too small or not the same.
    """
    rows = _figure(metrics, f"{CHALLENGER}rows")
    if rows < gate.min_holdout_rows:
        raise GateError(
            f"the holdout has {rows:.0f} rows, fewer than {gate.min_holdout_rows}",
            where=f"{CHALLENGER}rows",
            how_many=int(rows),
            fix="train on an interval with more nights, or lower min_holdout_rows of the use case's gate",
        )
    checks = [_bound(metrics, name, bound, floor=True) for name, bound in sorted(gate.floors.items())]
    checks += [_bound(metrics, name, bound, floor=False) for name, bound in sorted(gate.ceilings.items())]
    checks.append(_beats(gate, metrics, BASELINE, "the baseline", by_more_than=0.0))
    good_enough = all(passed for passed, _ in checks)
    if champion is None:
        reasons = (*(reason for _, reason in checks), "there is no champion to beat")
        return Verdict(decision="promote" if good_enough else "refused", reasons=reasons)
    of_champion = f"champion version {champion}"
    better, reason = _beats(gate, metrics, CHAMPION, of_champion, by_more_than=gate.min_improvement)
    reasons = (*(text for _, text in checks), reason)
    return Verdict(decision="promote" if good_enough and better else "keep", reasons=reasons)


def _figure(metrics: Mapping[str, float], name: str) -> float:
    value = metrics.get(name)
    if value is None or not math.isfinite(value):
        raise GateError(
            f"the figure {name} is {'missing' if value is None else value}",
            where=name,
            fix="clear evaluate of this run, and read its log",
        )
    return value


def _bound(metrics: Mapping[str, float], name: str, bound: float, *, floor: bool) -> tuple[bool, str]:
    value = _figure(metrics, CHALLENGER + name)
    passed = value >= bound if floor else value <= bound
    word = "floor" if floor else "ceiling"
    return passed, f"{name} {value:.4f} {'keeps' if passed else 'misses'} the {word} {bound:g}"


def _beats(
    gate: Gate, metrics: Mapping[str, float], prefix: str, name: str, *, by_more_than: float
) -> tuple[bool, str]:
    """Whether the challenger is better by more than asked; equal is not better."""
    for count in ("rows", "positives"):
        if _figure(metrics, CHALLENGER + count) != _figure(metrics, prefix + count):
            raise GateError(
                f"challenger and {name} were not measured on the same holdout",
                where=prefix + count,
                fix="clear evaluate of this run",
            )
    metric = gate.decisive_metric
    mine, theirs = _figure(metrics, CHALLENGER + metric), _figure(metrics, prefix + metric)
    better = mine - theirs > by_more_than
    compared = f"{metric} {mine:.6f} against {theirs:.6f} of {name}"
    asked = f"by more than {by_more_than:g}"
    return better, f"{compared}: {'better' if better else 'not better'} {asked}"
