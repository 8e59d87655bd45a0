"""Members that are fitted in one step, without rounds: linear models, constants and columns."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

from nightjar.training.data.weighting import class_weighting, without_class_weights
from nightjar.training.distributed.device import CPU
from nightjar.training.engines.context import TrainingContext
from nightjar.training.engines.fitted import Fitted
from nightjar.training.engines.member import Member, MemberCard
from nightjar.training.ensemble.members import predict_shard

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class OneStepModel(Member, Protocol):
    """A member that is fitted in one step."""

    def card(self, validation_score: float) -> MemberCard:
        """Return its card."""


@dataclass(frozen=True, kw_only=True)
class Validated:
    """A fitted member on the validation days.

    Attributes:
        card: The member's card.
        labels: Encoded labels of this rank's validation rows.
        outputs: The member's outputs for these rows, corrected for sampling.
    """

    card: MemberCard
    labels: NDArray[np.float32] = field(repr=False)
    outputs: NDArray[np.float64] = field(repr=False)


def validate(member: OneStepModel, context: TrainingContext, *, name: str) -> Validated:
    """Measure a member on the validation days; all ranks call it.

    It weighs all rows alike, so that only the sampling of classes is corrected.

    Args:
        member: The member.
        context: What this rank trains on.
        name: Name of the member, for the error.
    """
    sampled = class_weighting(context.training_set.recipe).kept
    labels, outputs = predict_shard(member, context.validation, threads=context.threads)
    corrected = without_class_weights(outputs, sampled)
    score = context.metric.over_ranks(labels, corrected, after=f"the last step of the {name}")
    card = replace(member.card(score), class_weights=sampled)
    return Validated(card=card, labels=labels, outputs=corrected)


def fitted_at_once(member: Member, card: MemberCard) -> Fitted:
    """Return a member that was fitted in one step, on the CPU."""
    return Fitted(member=member, card=card, history=(card.validation_score,), external_memory=False, device=CPU)
