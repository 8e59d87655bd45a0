"""The gate's judgement: pure, from figures to a verdict with reasons."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from nightjar.declaration.quality import QUALITY_METRICS
from nightjar.declaration.use_case import Gate
from nightjar.protocol.errors import GateError

FULL = "full"
"""Name of the model as it was trained, among the smaller ones made from it."""
CHALLENGER = "holdout_"
CHAMPION = "champion_holdout_"
BASELINE = "baseline_holdout_"
GAIN, COST = 1.25, 0.9
"""A smaller model is worth it when it is at least 1.25 times as small or as fast as the full one, and in the other of
the two at least 0.9 times as good: two timings of one model differ by up to a tenth."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What the gate says.

    Attributes:
        decision: ``promote``: the challenger becomes champion. ``keep``: the champion stays. ``refused``: the
            challenger misses a floor or ceiling, and there is no champion to keep. ``passed_over``: it is good enough,
            but another model of the same training is chosen.
        reasons: One sentence per rule that was looked at, with both figures.
    """

    decision: Literal["promote", "keep", "refused", "passed_over"]
    reasons: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Choice:
    """Which of a training's models is the challenger, and what the gate says of each.

    Attributes:
        name: ``full``, or one of the smaller ones.
        verdicts: Name to verdict; at most that of ``name`` is ``promote``.
    """

    name: str
    verdicts: Mapping[str, Verdict]

    @property
    def verdict(self) -> Verdict:
        """On the chosen one."""
        return self.verdicts[self.name]


def note_on_champion(version: str, *, seen: int | None, held_out: int) -> str:
    """The sentence on a champion that was trained on days of the holdout, on which its figures flatter it.

    Args:
        version: The champion's.
        seen: Days of the holdout that it was trained or validated on; None when that is not known.
        held_out: Days of the holdout.

    Returns:
        The sentence; empty when it has seen none of them.
    """
    if seen is None:
        return f"which days champion version {version} was trained on is not known: it may have seen the holdout"
    if not seen:
        return ""
    return (
        f"champion version {version} was trained on {seen} of the {held_out} days held out, where its figures are too "
        "good: train on an interval that ends later to compare fairly"
    )


def prefix_of(name: str) -> str:
    """What the names of a model's figures begin with: ``holdout_`` for the full one, else ``<name>_holdout_``."""
    return CHALLENGER if name == FULL else f"{name}_{CHALLENGER}"


def worse_by(metric: str, value: float, other: float) -> float:
    """By how much ``value`` of ``metric`` is worse than ``other``; below 0 when it is better."""
    return value - other if QUALITY_METRICS[metric].lower_is_better else other - value


def choose(
    gate: Gate,
    metrics: Mapping[str, float],
    smaller: Mapping[str, Mapping[str, float]],
    *,
    champion: str | None,
    max_loss: float,
    note: str = "",
) -> Choice:
    """Judge each of a training's models, and choose the first smaller one that is good enough, else the full one.

    Good enough is a smaller model that passes the gate, loses little, and is worth it (:data:`GAIN`, :data:`COST`).

    Args:
        gate: What each must reach.
        metrics: As for :func:`judge`, those of the smaller ones as ``<name>_holdout_<metric>``.
        smaller: Names of the smaller models, the preferred first, each to its ``bytes`` and ``rows_per_second``, and
            the full model's ``full_bytes`` and ``full_rows_per_second``.
        champion: The champion's version; None when there is none.
        max_loss: By how much the decisive metric of a smaller model may be worse than the full one's.

    Raises:
        GateError: as :func:`judge`.
    """
    verdicts = {FULL: judge(gate, metrics, champion=champion, note=note)}
    chosen = FULL
    metric = gate.decisive_metric
    of_full = _figure(metrics, CHALLENGER + metric)
    for name, figures in smaller.items():
        verdict = judge(gate, metrics, champion=champion, name=name, note=note)
        loss = worse_by(metric, _figure(metrics, prefix_of(name) + metric), of_full)
        near = loss <= max_loss
        reason = f"{metric} worse than the full model's by {loss:.6f}: {'within' if near else 'beyond'} {max_loss:g}"
        worth, size_and_speed = _is_worth_it(figures, name)
        verdicts[name] = replace(verdict, reasons=(*verdict.reasons, reason, size_and_speed))
        if chosen == FULL and near and worth and verdict.decision == "promote":
            chosen = name
    return Choice(name=chosen, verdicts={name: _beside(v, name, chosen) for name, v in verdicts.items()})


def _is_worth_it(figures: Mapping[str, float], name: str) -> tuple[bool, str]:
    """Whether a smaller model gains enough in size or speed for what it costs in the other, and the sentence on it."""
    needed = ("bytes", "full_bytes", "rows_per_second", "full_rows_per_second")
    of_model, of_full, speed, full_speed = (_figure(figures, figure, of=f"the {name} model") for figure in needed)
    gains = (of_full / of_model, speed / full_speed)
    worth = max(gains) >= GAIN and min(gains) >= COST
    return worth, (
        f"{of_model:,.0f} bytes against the full model's {of_full:,.0f}, {speed:,.0f} rows/s against "
        f"{full_speed:,.0f}: "
        f"{'worth it' if worth else 'not worth it'} (at least {GAIN:g} times better in one, {COST:g} in the other)"
    )


def _beside(verdict: Verdict, name: str, chosen: str) -> Verdict:
    if name == chosen or verdict.decision != "promote":
        return verdict
    return Verdict(decision="passed_over", reasons=(*verdict.reasons, f"the {chosen} model is preferred"))


def judge(
    gate: Gate, metrics: Mapping[str, float], *, champion: str | None, name: str = FULL, note: str = ""
) -> Verdict:
    """Judge a challenger by its figures on the holdout.

    Args:
        gate: Floors, ceilings, rows and improvement asked for.
        metrics: ``holdout_<metric>`` (see :func:`prefix_of`), ``baseline_holdout_<metric>`` and, with a champion,
            ``champion_holdout_<metric>``.
        champion: The champion's version; None when there is none.
        name: Which of the training's models is the challenger.
        note: What limits the comparison with the champion, for a reader of the verdict; the last of the reasons.

    Raises:
        GateError: when a figure that it needs is missing or no number, or the holdout is too small or not the same.
    """
    mine = prefix_of(name)
    rows = _figure(metrics, f"{mine}rows")
    if rows < gate.min_holdout_rows:
        raise GateError(
            f"the holdout has {rows:.0f} rows, fewer than {gate.min_holdout_rows}",
            where=f"{mine}rows",
            how_many=int(rows),
            fix="train on an interval with more nights, or lower min_holdout_rows of the use case's gate",
        )
    checks = [_bound(metrics, mine, metric, bound, floor=True) for metric, bound in sorted(gate.floors.items())]
    checks += [_bound(metrics, mine, metric, bound, floor=False) for metric, bound in sorted(gate.ceilings.items())]
    checks.append(_beats(gate, metrics, mine, BASELINE, "the baseline", by_more_than=0.0))
    good_enough = all(passed for passed, _ in checks)
    if champion is None:
        reasons = (*(reason for _, reason in checks), "there is no champion to beat")
        return Verdict(decision="promote" if good_enough else "refused", reasons=reasons)
    of_champion = f"champion version {champion}"
    better, reason = _beats(gate, metrics, mine, CHAMPION, of_champion, by_more_than=gate.min_improvement)
    reasons = (*(text for _, text in checks), reason, *((note,) if note else ()))
    return Verdict(decision="promote" if good_enough and better else "keep", reasons=reasons)


def _figure(metrics: Mapping[str, float], name: str, *, of: str = "") -> float:
    value = metrics.get(name)
    if value is None or not math.isfinite(value):
        raise GateError(
            f"the figure {name}{f' of {of}' if of else ''} is {'missing' if value is None else value}",
            where=name,
            fix="clear evaluate of this run, and read its log",
        )
    return value


def _bound(metrics: Mapping[str, float], prefix: str, metric: str, bound: float, *, floor: bool) -> tuple[bool, str]:
    value = _figure(metrics, prefix + metric)
    passed = value >= bound if floor else value <= bound
    word = "floor" if floor else "ceiling"
    return passed, f"{metric} {value:.4f} {'keeps' if passed else 'misses'} the {word} {bound:g}"


def _beats(
    gate: Gate, metrics: Mapping[str, float], prefix: str, other: str, name: str, *, by_more_than: float
) -> tuple[bool, str]:
    """Whether the challenger is better by more than asked; equal is not better."""
    for count in ("rows", "positives"):
        if _figure(metrics, prefix + count) != _figure(metrics, other + count):
            raise GateError(
                f"challenger and {name} were not measured on the same holdout",
                where=other + count,
                fix="clear evaluate of this run",
            )
    metric = gate.decisive_metric
    mine, theirs = _figure(metrics, prefix + metric), _figure(metrics, other + metric)
    better = worse_by(metric, theirs, mine) > by_more_than
    compared = f"{metric} {mine:.6f} against {theirs:.6f} of {name}"
    asked = f"by more than {by_more_than:g}"
    return better, f"{compared}: {'better' if better else 'not better'} {asked}"
