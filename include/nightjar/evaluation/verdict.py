"""The gate: pure functions from holdout metrics to a verdict with reasons."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

from nightjar.declaration.forecast import ETS, SEASONAL_NAIVE
from nightjar.declaration.gate import Gate, Policy
from nightjar.declaration.problem import CONSTANT, LINEAR, Problem
from nightjar.declaration.quality import QualityMetric
from nightjar.declaration.ranking import LAST_SEEN, POPULARITY
from nightjar.protocol.errors import GateError

FULL = "full"
"""Name of the uncompressed model, beside the compressed models made from it."""
CHALLENGER = "holdout_"
CHAMPION = "champion_holdout_"
_BASELINES = {
    LINEAR: "the baseline",
    CONSTANT: "the constant baseline",
    SEASONAL_NAIVE: "the seasonal naive forecast",
    ETS: "exponential smoothing",
    POPULARITY: "the order by popularity",
    LAST_SEEN: "the order by what was seen last",
}
GAIN, COST = 1.25, 0.9
"""A compressed model is worth it when it is at least 1.25 times as small or as fast as the full model, and at least 0.9
times as good in the other: two timings of one model differ by up to a tenth."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Decision of the gate.

    Attributes:
        decision: ``promote``: the challenger becomes champion. ``keep``: the champion stays. ``refused``: the
            challenger misses a floor or ceiling, and no champion exists. ``passed_over``: the model passes, but
            another model of the same training is chosen.
        reasons: One sentence for each rule, with both figures.
    """

    decision: Literal["promote", "keep", "refused", "passed_over"]
    reasons: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Choice:
    """The model of a training that is chosen as challenger, and the verdict on each model.

    Attributes:
        name: The chosen model: ``full``, or a compressed one.
        verdicts: Name to verdict; only that of ``name`` can be ``promote``.
    """

    name: str
    verdicts: Mapping[str, Verdict]

    @property
    def verdict(self) -> Verdict:
        """Verdict on the chosen model."""
        return self.verdicts[self.name]


def note_on_champion(version: str, *, seen: int | None, holdout_days: int) -> str:
    """Return a note on a champion that was trained on days of the holdout, where its metrics are too good.

    Args:
        version: The champion's version.
        seen: Number of holdout days that it was trained or validated on; None when unknown.
        holdout_days: Number of holdout days.

    Returns:
        The note; empty when it has seen none of the days.
    """
    if seen is None:
        return f"the training days of champion version {version} are not known: it may have seen the holdout"
    if not seen:
        return ""
    return (
        f"champion version {version} was trained on {seen} of the {holdout_days} holdout days, where its metrics are "
        "too good: train on an interval that ends later for a fair comparison"
    )


def baseline_prefix(name: str) -> str:
    """Return the prefix of a baseline's metric names, e.g. ``baseline_holdout_``."""
    return f"{name}_{CHALLENGER}"


def prefix_of(name: str) -> str:
    """Return the prefix of a model's metric names: ``holdout_`` for the full model, else ``<name>_holdout_``."""
    return CHALLENGER if name == FULL else f"{name}_{CHALLENGER}"


def choose(
    gate: Gate,
    problem: Problem,
    metrics: Mapping[str, float],
    compressed: Mapping[str, Mapping[str, float]],
    *,
    champion: str | None,
    max_loss: float,
    note: str = "",
) -> Choice:
    """Judge each model of a training; choose the first compressed model that is good enough, else the full model.

    A compressed model is good enough when it passes the gate, its decisive metric is at most ``max_loss`` worse than
    the full model's, and it is worth it (:data:`GAIN`, :data:`COST`).

    Args:
        gate: Requirements for each model.
        problem: The problem type.
        metrics: As for :func:`judge`; those of compressed models are named ``<name>_holdout_<metric>``.
        compressed: Compressed models in order of preference, each with its ``bytes`` and ``rows_per_second`` and the
            full model's ``full_bytes`` and ``full_rows_per_second``.
        champion: The champion's version; None without a champion.
        max_loss: Largest allowed loss of a compressed model in the decisive metric, against the full model.
        note: As for :func:`judge`.

    Raises:
        GateError: as :func:`judge`.
    """
    verdicts = {FULL: judge(gate, problem, metrics, champion=champion, note=note)}
    chosen = FULL
    metric = gate.decisive(problem.metrics)
    full_value = _figure(metrics, CHALLENGER + metric.name)
    for name, figures in compressed.items():
        verdict = judge(gate, problem, metrics, champion=champion, name=name, note=note)
        loss = metric.worse_by(_figure(metrics, prefix_of(name) + metric.name), full_value)
        is_close = loss <= max_loss
        limit = f"{'within' if is_close else 'beyond'} {max_loss:g}"
        reason = f"{metric.name} worse than the full model's by {loss:.6f}: {limit}"
        is_worth_it, size_and_speed = _is_worth_it(figures, name)
        verdicts[name] = replace(verdict, reasons=(*verdict.reasons, reason, size_and_speed))
        if chosen == FULL and is_close and is_worth_it and verdict.decision == "promote":
            chosen = name
    return Choice(name=chosen, verdicts={name: _pass_over(v, name, chosen) for name, v in verdicts.items()})


def _is_worth_it(figures: Mapping[str, float], name: str) -> tuple[bool, str]:
    """Return whether a compressed model gains enough in size or speed for its cost in the other, and the reason."""
    names = ("bytes", "full_bytes", "rows_per_second", "full_rows_per_second")
    size, full_size, speed, full_speed = (_figure(figures, figure, of=f"the {name} model") for figure in names)
    gains = (full_size / size, speed / full_speed)
    is_worth_it = max(gains) >= GAIN and min(gains) >= COST
    return is_worth_it, (
        f"{size:,.0f} bytes against the full model's {full_size:,.0f}, {speed:,.0f} rows/s against "
        f"{full_speed:,.0f}: {'' if is_worth_it else 'not '}worth it "
        f"(at least {GAIN:g} times better in one, {COST:g} in the other)"
    )


def _pass_over(verdict: Verdict, name: str, chosen: str) -> Verdict:
    """Replace ``promote`` by ``passed_over`` for every model except the chosen one."""
    if name == chosen or verdict.decision != "promote":
        return verdict
    return Verdict(decision="passed_over", reasons=(*verdict.reasons, f"the {chosen} model is preferred"))


def judge(
    gate: Gate,
    problem: Problem,
    metrics: Mapping[str, float],
    *,
    champion: str | None,
    name: str = FULL,
    note: str = "",
) -> Verdict:
    """Judge a challenger by its metrics on the holdout.

    Args:
        gate: Required floors, ceilings, rows and improvement.
        problem: The problem type, with its baselines.
        metrics: ``holdout_<metric>`` (see :func:`prefix_of`), ``<baseline>_holdout_<metric>`` of each baseline and,
            with a champion, ``champion_holdout_<metric>``.
        champion: The champion's version; None without a champion.
        name: The training's model that is the challenger.
        note: Limits of the comparison with the champion; becomes the last reason.

    Raises:
        GateError: when a metric is missing or not finite, or the holdout is too small or differs between models.
    """
    prefix = prefix_of(name)
    rows = _figure(metrics, f"{prefix}rows")
    if rows < gate.min_holdout_rows:
        raise GateError(
            f"the holdout has {rows:.0f} rows, fewer than {gate.min_holdout_rows}",
            where=f"{prefix}rows",
            how_many=int(rows),
            fix="train on an interval with more nights, or lower min_holdout_rows of the use case's gate",
        )
    checks = [_bound(metrics, prefix, metric, bound, floor=True) for metric, bound in sorted(gate.floors.items())]
    checks += [_bound(metrics, prefix, metric, bound, floor=False) for metric, bound in sorted(gate.ceilings.items())]
    compare = partial(_beats, metrics, prefix, gate.decisive(problem.metrics), problem.label_groups)
    checks += [compare(baseline_prefix(key), _BASELINES[key], by_more_than=0.0) for key in problem.baselines]
    checks += [_costs_less(metrics, prefix, policy) for policy in gate.beats]
    good_enough = all(passed for passed, _ in checks)
    if champion is None:
        reasons = (*(reason for _, reason in checks), "no champion to compare with")
        return Verdict(decision="promote" if good_enough else "refused", reasons=reasons)
    champion_name = f"champion version {champion}"
    better, reason = compare(CHAMPION, champion_name, by_more_than=gate.min_improvement)
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
    return passed, f"{metric} {value:.4f} {'meets' if passed else 'misses'} the {word} {bound:g}"


def _costs_less(metrics: Mapping[str, float], prefix: str, policy: Policy) -> tuple[bool, str]:
    """Return whether the challenger's decisions cost less than always deciding alike, and the reason."""
    cost, of_policy = _figure(metrics, f"{prefix}expected_cost"), _figure(metrics, f"{prefix}{policy}_cost")
    less = cost < of_policy
    return less, f"cost {cost:.4f} is {'' if less else 'not '}less than {of_policy:.4f} when {policy} alarming"


def _beats(
    metrics: Mapping[str, float],
    prefix: str,
    metric: QualityMetric,
    label_groups: Sequence[str],
    reference: str,
    name: str,
    *,
    by_more_than: float,
) -> tuple[bool, str]:
    """Return whether the challenger is better by more than ``by_more_than``, and the reason; equal is not better."""
    for count in ("rows", *label_groups):
        if _figure(metrics, prefix + count) != _figure(metrics, reference + count):
            raise GateError(
                f"challenger and {name} were not evaluated on the same holdout",
                where=reference + count,
                fix="clear evaluate of this run",
            )
    value, reference_value = _figure(metrics, prefix + metric.name), _figure(metrics, reference + metric.name)
    better = metric.worse_by(reference_value, value) > by_more_than
    compared = f"{metric.name} {value:.6f} against {reference_value:.6f} of {name}"
    margin = f"by more than {by_more_than:g}"
    return better, f"{compared}: {'better' if better else 'not better'} {margin}"
