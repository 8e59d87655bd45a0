"""Checks of a use case against what its problem type needs of the other groups. Standard library only."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from nightjar.declaration.data import Data
from nightjar.declaration.declared import check_known, refuse
from nightjar.declaration.entity import Entity
from nightjar.declaration.features import FeatureSet
from nightjar.declaration.forecast import Forecast
from nightjar.declaration.gate import Gate
from nightjar.declaration.monitoring import Monitoring
from nightjar.declaration.problem import Problem
from nightjar.declaration.ranking import CATALOGUE_METRICS, Ranking
from nightjar.declaration.target import Target


class Declared(Protocol):
    """The groups of a use case that a problem type needs something of."""

    @property
    def problem(self) -> Problem:
        """The problem type."""

    @property
    def data(self) -> Data:
        """What lands each night."""

    @property
    def entity(self) -> Entity:
        """What is scored."""

    @property
    def features(self) -> FeatureSet:
        """Model inputs."""

    @property
    def target(self) -> Target:
        """What is predicted."""

    @property
    def gate(self) -> Gate:
        """Requirements for a promotion."""

    @property
    def monitoring(self) -> Monitoring:
        """Drift and performance."""


def check_problem(declared: Declared, *, where: str) -> None:
    """Check what the problem type of a use case needs of its other groups.

    Raises:
        ConfigurationError: naming what is missing.
    """
    if check := _CHECKS.get(declared.problem.kind):
        check(declared.problem, declared, where=where)


def _check_forecast(forecast: Forecast, declared: Declared, *, where: str) -> None:
    names = [column.name for column in declared.entity.columns]
    check_known(forecast.hierarchy, names, kind="column of the entity", where=f"{where}.problem.hierarchy")
    listed = [feature.name for feature in declared.features.columns]
    if missing := [feature.name for feature in forecast.series_features if feature.name not in listed]:
        refuse(
            f"features lacks {', '.join(missing[:3])}{', …' if len(missing) > 3 else ''}, which Nightjar adds to the "
            "feature table of a forecast",
            where=f"{where}.features.columns",
            how_many=len(missing),
            fix="begin the columns with those of the problem: FeatureSet(columns=(*PROBLEM.series_features, …))",
        )
    carried = [column.name for column in forecast.carried_columns]
    if taken := [name for name in listed if name in carried]:
        refuse(
            f"feature {', '.join(taken)} is a column that Nightjar adds to the feature table of a forecast",
            where=f"{where}.features.columns",
            how_many=len(taken),
            fix="choose another name",
        )
    if declared.target.label_horizon_nights != forecast.horizon:
        refuse(
            f"labels land after {declared.target.label_horizon_nights} nights, and the last step is known after "
            f"{forecast.horizon}",
            where=f"{where}.target.label_horizon_nights",
            fix=f"declare label_horizon_nights={forecast.horizon}, the horizon: a night is judged when all its steps "
            "are known",
        )
    needed = max(forecast.horizon, 2 * forecast.season)
    if declared.data.history_nights < needed:
        refuse(
            f"the history has {declared.data.history_nights} nights, and a forecast with horizon {forecast.horizon} "
            f"and season {forecast.season} needs {needed}: the horizon, and two seasons",
            where=f"{where}.data.history_nights",
            how_many=declared.data.history_nights,
            fix=f"declare history_nights={needed} or more",
        )


def _check_ranking(ranking: Ranking, declared: Declared, *, where: str) -> None:
    key = tuple(column.name for column in declared.entity.key)
    if key[: len(ranking.group)] != ranking.group or len(key) == len(ranking.group):
        refuse(
            f"the group is {', '.join(ranking.group)}, and the key is {', '.join(key)}",
            where=f"{where}.problem.group",
            fix="name the first columns of the key as the group, and leave at least one for the item",
        )
    items = key[len(ranking.group) :]
    check_known(ranking.item, items, kind="column of the key after the group", where=f"{where}.problem.item")
    if declared.gate.decisive_metric in {metric.name for metric in CATALOGUE_METRICS}:
        refuse(
            f"the gate decides by {declared.gate.decisive_metric}, which ignores whether items are relevant",
            where=f"{where}.gate.decisive_metric",
            fix="give it a floor, and decide by one of: "
            + ", ".join(name for name, metric in ranking.metrics.items() if metric not in CATALOGUE_METRICS),
        )
    if wrong := [name for name in declared.monitoring.performance.slices if name not in ranking.group]:
        refuse(
            f"slice {', '.join(wrong)} is not a column of the group, whose items are compared with each other",
            where=f"{where}.monitoring.performance.slices",
            how_many=len(wrong),
            fix=f"choose from: {', '.join(ranking.group)}",
        )
    if declared.monitoring.performance.unit is not None:
        refuse(
            "a unit is declared, and the intervals of a ranking are over its groups already",
            where=f"{where}.monitoring.performance.unit",
            fix="leave it out",
        )
    numeric = [feature.name for feature in declared.features.columns if feature.kind == "numeric"]
    for field in ("popularity", "last_seen"):
        name = getattr(ranking, field)
        check_known((name,), numeric, kind="numeric feature", where=f"{where}.problem.{field}")


_CHECKS: Mapping[str, Callable[..., Any]] = {Forecast.kind: _check_forecast, Ranking.kind: _check_ranking}
