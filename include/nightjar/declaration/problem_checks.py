"""Checks of a use case against what its problem type needs of the other groups. Standard library only."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from nightjar.declaration.data import Data
from nightjar.declaration.declared import check_known, refuse
from nightjar.declaration.entity import Entity
from nightjar.declaration.features import FeatureSet
from nightjar.declaration.forecast import Forecast
from nightjar.declaration.monitoring import Monitoring
from nightjar.declaration.problem import Problem
from nightjar.declaration.ranking import Ranking
from nightjar.declaration.target import Target


def check_problem(
    problem: Problem,
    data: Data,
    entity: Entity,
    features: FeatureSet,
    target: Target,
    monitoring: Monitoring,
    *,
    where: str,
) -> None:
    """Check what a problem type needs of the other groups.

    Raises:
        ConfigurationError: naming what is missing.
    """
    check = _CHECKS.get(problem.kind)
    if check:
        check(problem, data, entity, features, target, monitoring, where=where)


def _check_forecast(
    forecast: Forecast,
    data: Data,
    entity: Entity,
    features: FeatureSet,
    target: Target,
    monitoring: Monitoring,
    *,
    where: str,
) -> None:
    names = [column.name for column in entity.columns]
    check_known(forecast.hierarchy, names, kind="column of the entity", where=f"{where}.problem.hierarchy")
    listed = [feature.name for feature in features.columns]
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
    if target.label_horizon_nights != forecast.horizon:
        refuse(
            f"labels land after {target.label_horizon_nights} nights, and the last step is known after "
            f"{forecast.horizon}",
            where=f"{where}.target.label_horizon_nights",
            fix=f"declare label_horizon_nights={forecast.horizon}, the horizon: a night is judged when all its steps "
            "are known",
        )
    needed = max(forecast.horizon, 2 * forecast.season)
    if data.history_nights < needed:
        refuse(
            f"the history has {data.history_nights} nights, and a forecast with horizon {forecast.horizon} and season "
            f"{forecast.season} needs {needed}: the horizon, and two seasons",
            where=f"{where}.data.history_nights",
            how_many=data.history_nights,
            fix=f"declare history_nights={needed} or more",
        )


def _check_ranking(
    ranking: Ranking,
    data: Data,
    entity: Entity,
    features: FeatureSet,
    target: Target,
    monitoring: Monitoring,
    *,
    where: str,
) -> None:
    key = tuple(column.name for column in entity.key)
    if key[: len(ranking.group)] != ranking.group or len(key) == len(ranking.group):
        refuse(
            f"the group is {', '.join(ranking.group)}, and the key is {', '.join(key)}",
            where=f"{where}.problem.group",
            fix="name the first columns of the key as the group, and leave at least one for the item",
        )
    if wrong := [name for name in monitoring.performance.slices if name not in ranking.group]:
        refuse(
            f"slice {', '.join(wrong)} is not a column of the group, whose items are compared with each other",
            where=f"{where}.monitoring.performance.slices",
            how_many=len(wrong),
            fix=f"choose from: {', '.join(ranking.group)}",
        )
    numeric = [feature.name for feature in features.columns if feature.kind == "numeric"]
    for field in ("popularity", "last_seen"):
        name = getattr(ranking, field)
        check_known((name,), numeric, kind="numeric feature", where=f"{where}.problem.{field}")


_CHECKS: Mapping[str, Callable[..., Any]] = {Forecast.kind: _check_forecast, Ranking.kind: _check_ranking}
