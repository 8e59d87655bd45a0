"""Linear models as members of an ensemble: those of the linear baselines."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from nightjar.declaration.linear import Linear
from nightjar.declaration.problem import Binary, Multiclass, Regression
from nightjar.training.data.shards import Shard
from nightjar.training.data.training_set import TrainingSet
from nightjar.training.engines.context import TrainingContext
from nightjar.training.engines.fitted import Fitted
from nightjar.training.engines.linear import baseline, multinomial, ridge
from nightjar.training.engines.member import Member, MemberCard
from nightjar.training.engines.one_step import OneStepModel, fitted_at_once, validate

FITS: Mapping[str, Callable[[Shard, TrainingSet], OneStepModel]] = {
    Binary.kind: baseline.fit,
    Multiclass.kind: multinomial.fit,
    Regression.kind: ridge.fit,
}
"""Kind of a problem to the function that fits its linear model, which all ranks call."""


def fit(declared: Linear, context: TrainingContext) -> Fitted:
    """Fit the linear model of the problem type; see :class:`nightjar.training.engines.registry.Engine`."""
    training_set = context.training_set
    member = FITS[training_set.recipe.problem.kind](context.train, training_set)
    card = validate(member, context, name="linear model").card
    return fitted_at_once(member, replace(card, name=declared.name))


def library_version() -> str:
    """Return the name of the engine, which is Nightjar's own."""
    return "linear"


def obstacle(declared: Linear, card: MemberCard, member: Member) -> str:
    """Return that it does not continue: a warm start with it is refused when it is declared."""
    return "a linear model is fitted from the start"


def for_columns(declared: Linear, old_columns: Sequence[str], new_columns: Sequence[str]) -> Linear:
    """Return the declaration: it names no columns."""
    return declared
