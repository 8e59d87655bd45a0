"""The page of a training's holdout: one self-contained HTML file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from jinja2 import Environment

from nightjar.monitoring.holdout import charts
from nightjar.monitoring.holdout.parts import Part, Plot
from nightjar.monitoring.reporting import pages

SHOWN_FEATURES = 20
_TITLES = {
    "permutation": (
        "Worth of each feature",
        "By how much the {metric} is worse when the feature is shuffled among rows.",
    ),
    "gain": ("Gain of splits", "Share of the gain of all splits of the trees that use the feature."),
    "mean_abs_shap": ("SHAP values", "Mean absolute contribution of the feature to the trees' margin."),
}


@dataclass(frozen=True, kw_only=True)
class HoldoutPage:
    """What the page shows.

    Attributes:
        title: Display name of the use case.
        run: The training's run.
        days: First and last label day of the holdout.
        rows: Its rows.
        sampled: Rows by which features are judged.
        models: Names of the models, the trained one first.
        metrics: Name of each metric of the problem type to its value for each model; None where a model has none.
        more_metrics: The other metrics: of single classes, steps and levels, and counts of rows.
        metric: Name of the metric that training watched.
        parts: Plots and tables of the problem type.
        importances: Kind of importance to the importance of each feature, the largest first.
    """

    title: str
    run: str
    days: tuple[str, str]
    rows: int
    sampled: int
    models: Sequence[str]
    metrics: Mapping[str, Sequence[float | None]]
    more_metrics: Mapping[str, Sequence[float | None]]
    metric: str
    parts: Sequence[Part]
    importances: Mapping[str, Mapping[str, float]]

    @property
    def features(self) -> list[Part]:
        """Bars of the features' importances."""
        shown = []
        for kind, values in self.importances.items():
            title, hint = _TITLES[kind]
            first = dict(list(values.items())[:SHOWN_FEATURES])
            rest = f" The first {SHOWN_FEATURES} of {len(values)}." if len(values) > SHOWN_FEATURES else ""
            text = hint.format(metric=self.metric) + rest
            shown.append(Plot(title=title, hint=text, svg=charts.bars(first, title)))
        return list(shown)


def render(page: HoldoutPage) -> str:
    """Render the page; equal contents give the same bytes."""
    return _environment().get_template("holdout.html.j2").render(page=page)


@cache
def _environment() -> Environment:
    return pages.environment({"is_plot": lambda part: isinstance(part, Plot)})
