"""The experiment report: one self-contained HTML page per night."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cache

from jinja2 import Environment
from markupsafe import Markup

from nightjar.declaration.experiment import CHAMPION, Experiment, FixedHorizon
from nightjar.declaration.problem import Cost
from nightjar.monitoring.drift.plots import text
from nightjar.monitoring.experiments.analysis import MAX_MISMATCH_P, MIN_UNITS, Analysis, Comparison
from nightjar.monitoring.reporting import pages
from nightjar.monitoring.reporting.formatting import number
from nightjar.monitoring.reporting.origin import ReportOrigin

WORDS = {
    "no_data": "No labels yet",
    "mismatch": "Not split as declared",
    "running": "Running",
    "undecided": "No difference",
    "higher": "Higher",
    "lower": "Lower",
}


@dataclass(frozen=True, kw_only=True)
class ExperimentReport:
    """Contents of the page.

    Attributes:
        title: Title of the use case.
        night: Night of the analysis.
        experiment: The declared experiment.
        analysis: Its results.
        stalled: The last nights, if they added almost no new units and nothing is decided.
        excluded: Nights that do not count because a fallback scored for a variant.
        versions: Variant to the model versions that scored it.
        cost: Costs of errors; None when not declared.
        origin: Code, run and tables of the report.
    """

    title: str
    night: date
    experiment: Experiment
    analysis: Analysis
    stalled: Sequence[date] = ()
    excluded: Sequence[date] = ()
    versions: Mapping[str, Sequence[str]] = field(default_factory=dict)
    cost: Cost | None = None
    origin: ReportOrigin

    @property
    def metric(self) -> str:
        """Name of the metric with its unit."""
        named = {"label": "label", "brier": "Brier score", "cost": f"cost in {self.cost.unit}" if self.cost else "cost"}
        return f"mean {named[self.experiment.metric]} per unit"

    @property
    def design(self) -> str:
        """Description of the design."""
        design = self.experiment.design
        if isinstance(design, FixedHorizon):
            return f"judged once, when {design.units:,} units have labels".replace(",", "\u202f")
        return f"judged every night, most sensitive at a difference of {number(design.effect)}"

    @property
    def unit(self) -> str:
        """Columns of the unit."""
        return ", ".join(self.experiment.unit) or "the whole key"

    @property
    def variants_with_several_versions(self) -> list[str]:
        """Variants that more than one model version scored."""
        return [variant for variant, models in self.versions.items() if len(models) > 1]

    @property
    def observed_shares(self) -> Mapping[str, float]:
        """Variant to its share of the units with a value."""
        total = sum(self.analysis.units.values())
        return {variant: units / total if total else 0.0 for variant, units in self.analysis.units.items()}

    def describe(self, comparison: Comparison) -> str:
        """Explain a challenger's verdict in one sentence, without naming it."""
        if comparison.verdict == "no_data":
            return "no night of the experiment has labels."
        if comparison.verdict == "mismatch":
            return "units were lost or duplicated, so differences are not valid."
        if comparison.verdict == "undecided":
            return f"the horizon is reached, and {comparison.variant} shows no difference from {CHAMPION}."
        if comparison.verdict == "running":
            return f"{comparison.variant} shows no difference from {CHAMPION} so far."
        side = "above" if comparison.verdict == "higher" else "below"
        return f"{comparison.variant} is {side} {CHAMPION} in {self.metric}{self._is_better(comparison)}."

    def _is_better(self, comparison: Comparison) -> str:
        """Lower Brier scores and costs are better; for labels this is unknown."""
        if self.experiment.metric == "label":
            return ""
        return ", which is better" if comparison.verdict == "lower" else ", which is worse"


def render(report: ExperimentReport) -> str:
    """Render the page as HTML; equal reports give the same bytes."""
    return (
        _environment()
        .get_template("experiment.html.j2")
        .render(
            report=report,
            experiment=report.experiment,
            analysis=report.analysis,
            words=WORDS,
            champion=CHAMPION,
            max_p=MAX_MISMATCH_P,
            min_units=MIN_UNITS,
        )
    )


def path_plot(comparison: Comparison) -> Markup:
    """Draw the interval after each night and the line of no difference, with a text label for screen readers."""
    path = comparison.path
    top, floor, left, right = 12.0, 150.0, 8.0, 300.0
    # The first intervals are very wide: the scale is at most twice that of the later half.
    later = path[len(path) // 2 :]
    low = max(min(0.0, *(i.low for i in path)), 2 * min(0.0, *(i.low for i in later)))
    high = min(max(0.0, *(i.high for i in path)), 2 * max(0.0, *(i.high for i in later)))
    scale = (floor - top) / (high - low or 1.0)
    step = (right - left) / len(path)

    def y(value: float) -> float:
        return min(floor, max(top, floor - (value - low) * scale))

    parts = [Markup('<line class="axis" x1="0" x2="{:.1f}" y1="{:.1f}" y2="{:.1f}"/>').format(right, y(0), y(0))]
    for place, interval in enumerate(path):
        x = left + (place + 0.5) * step
        parts.append(
            Markup('<rect class="{}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}" rx="1.5"/>').format(
                "then",
                x - step * 0.4,
                y(interval.high),
                step * 0.8,
                max(1.0, y(interval.low) - y(interval.high)),
            )
        )
        parts.append(
            Markup('<rect class="{}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="3" rx="1.5"/>').format(
                "now moved" if interval.excludes_zero else "now",
                x - step * 0.4,
                y(interval.difference) - 1.5,
                step * 0.8,
            )
        )
    parts += [text(right + 6, y(value) + 4, number(value), "side") for value in (low, 0.0, high)]
    for place in sorted({0, len(path) - 1}):
        x = min(max(left + (place + 0.5) * step, 34), right - 30)
        parts.append(text(x, floor + 18, str(path[place].night), "tick"))
    last = path[-1]
    label = (
        f"{comparison.variant} minus {CHAMPION} after {len(path)} nights: last {number(last.difference)}, "
        f"interval {number(last.low)} to {number(last.high)}"
    )
    return Markup('<svg class="plot" viewBox="0 0 360 174" role="img" aria-label="{}">{}</svg>').format(
        label, Markup("").join(parts)
    )


@cache
def _environment() -> Environment:
    return pages.environment({"path_plot": path_plot})
