"""The baselines of a training: simple models that its model must beat, by problem type."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from nightjar.declaration.forecast import ETS, SEASONAL_NAIVE, Forecast
from nightjar.declaration.problem import CONSTANT, LINEAR, Binary, Multiclass, Regression
from nightjar.declaration.ranking import LAST_SEEN, POPULARITY, Ranking
from nightjar.training.data.shards import Shard
from nightjar.training.data.training_set import TrainingSet
from nightjar.training.distributed.collective import sum_over_ranks
from nightjar.training.engines.columns import fit as columns
from nightjar.training.engines.context import TrainingContext
from nightjar.training.engines.linear import constant
from nightjar.training.engines.linear.engine import FITS
from nightjar.training.engines.member import Member, MemberCard
from nightjar.training.engines.one_step import OneStepModel, validate

Fit = Callable[[Shard, TrainingSet], OneStepModel]

_FITS: Mapping[str, Mapping[str, Fit]] = {
    Binary.kind: {LINEAR: FITS[Binary.kind]},
    Multiclass.kind: {LINEAR: FITS[Multiclass.kind], CONSTANT: constant.fit},
    Regression.kind: {LINEAR: FITS[Regression.kind], CONSTANT: constant.fit},
    Forecast.kind: {SEASONAL_NAIVE: columns.seasonal_naive, ETS: columns.ets},
    Ranking.kind: {POPULARITY: columns.popularity, LAST_SEEN: columns.last_seen},
}
"""Kind of a problem to each of its baselines and the function that fits it, which all ranks call."""


@dataclass(frozen=True, kw_only=True)
class FittedBaseline:
    """A trained baseline; the same on every rank.

    Attributes:
        name: Its name in the problem's declaration.
        member: The trained model.
        card: Its card.
        threshold: Its decision threshold; None when nothing is to fit.
    """

    name: str
    member: Member
    card: MemberCard
    threshold: float | None


def fit_baselines(context: TrainingContext) -> tuple[FittedBaseline, ...]:
    """Fit the baselines of the problem to the training rows of all ranks; all ranks call it, inside the collective.

    Raises:
        TrainingError: when one does not converge; on all ranks.
    """
    problem = context.training_set.recipe.problem
    return tuple(_fit(name, _FITS[problem.kind][name], context) for name in problem.baselines)


def _fit(name: str, fit: Fit, context: TrainingContext) -> FittedBaseline:
    member = fit(context.train, context.training_set)
    validated = validate(member, context, name=name)
    return FittedBaseline(
        name=name,
        member=member,
        card=validated.card,
        threshold=context.metric.problem.fit_threshold(validated.labels, validated.outputs, sum_over_ranks),
    )
