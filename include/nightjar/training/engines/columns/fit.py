"""Columns of the feature table as an engine and as baselines; there is nothing to train."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import cast

from nightjar.declaration.engines import Statistical
from nightjar.declaration.forecast import ETS, SEASONAL_NAIVE, Forecast
from nightjar.declaration.ranking import Ranking
from nightjar.training.data.shards import Shard
from nightjar.training.data.training_set import TrainingSet
from nightjar.training.engines.columns.model import Columns
from nightjar.training.engines.context import TrainingContext
from nightjar.training.engines.fitted import Fitted
from nightjar.training.engines.member import Member, MemberCard
from nightjar.training.engines.one_step import fitted_at_once, validate

LAST = -3e38
"""Score of an item whose order is not known: below all numbers of a 32-bit column that occur."""


def of_statistical(model: str, training_set: TrainingSet) -> Columns:
    """Return the member with the quantiles of a statistical model; a null, of a series without forecast, is 0."""
    declared = cast(Forecast, training_set.recipe.problem)
    return Columns.of(declared.columns_of(model), training_set.features, missing=0.0)


def seasonal_naive(train: Shard, training_set: TrainingSet) -> Columns:
    """Return the baseline that repeats the last season."""
    return of_statistical(SEASONAL_NAIVE, training_set)


def ets(train: Shard, training_set: TrainingSet) -> Columns:
    """Return the baseline of exponential smoothing."""
    return of_statistical(ETS, training_set)


def popularity(train: Shard, training_set: TrainingSet) -> Columns:
    """Return the baseline that orders items by their popularity."""
    declared = cast(Ranking, training_set.recipe.problem)
    return Columns.of((declared.popularity,), training_set.features, missing=LAST)


def last_seen(train: Shard, training_set: TrainingSet) -> Columns:
    """Return the baseline that orders items by when or how they were seen last."""
    declared = cast(Ranking, training_set.recipe.problem)
    return Columns.of((declared.last_seen,), training_set.features, missing=LAST)


def fit(declared: Statistical, context: TrainingContext) -> Fitted:
    """Return the member of a statistical model; see :class:`nightjar.training.engines.registry.Engine`."""
    member = of_statistical(declared.model, context.training_set)
    card = validate(member, context, name=f"columns of {declared.model}").card
    return fitted_at_once(member, replace(card, name=declared.name))


def library_version() -> str:
    """Return the name of the engine; its forecasts are made when the features are built."""
    return "columns"


def obstacle(declared: Statistical, card: MemberCard, member: Member) -> str:
    """Return an empty string: there is nothing to continue."""
    return ""


def for_columns(declared: Statistical, old_columns: Sequence[str], new_columns: Sequence[str]) -> Statistical:
    """Return the declaration: it names no columns by position."""
    return declared
