"""Members: the trained models of single engines, of which a model consists."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Member(Protocol):
    """The trained model of one engine."""

    def predict(self, matrix: NDArray[np.float32], *, threads: int) -> NDArray[np.float64]:
        """Return the member's outputs for the rows of ``matrix``, uncalibrated.

        See :func:`nightjar.training.data.encoding.encode` for the matrix, and
        :class:`nightjar.problems.problem_type.ProblemType` for outputs. A row's outputs depend neither on other rows
        nor on ``threads``.
        """

    def content(self) -> Mapping[str, bytes]:
        """Return its files by name, as the engine's ``load`` reads them."""


@dataclass(frozen=True, kw_only=True)
class MemberCard:
    """Description of a member.

    Attributes:
        kind: Its engine, a key of :data:`nightjar.training.model.LOADERS`.
        engine: Name and version of the library.
        params: Parameters of the engine.
        rounds: Number of rounds or epochs up to the best one.
        validation_score: Validation metric (:class:`ModelCard.validation_metric`) at that round.
        weight: Weight in the model's prediction; the members' weights add up to 1.
        event_weight: Weight of a positive row in its training, relative to a negative row.
    """

    kind: str
    engine: str
    params: Mapping[str, Any]
    rounds: int
    validation_score: float
    weight: float = 1.0
    event_weight: float = 1.0


def outputs_of(
    member: Member, event_weight: float, matrix: NDArray[np.float32], *, threads: int
) -> NDArray[np.float64]:
    """Return a member's outputs; probabilities are corrected for the weight of positives in their training."""
    return without_weight(member.predict(matrix, threads=threads), event_weight)


def without_weight(outputs: NDArray[np.float64], event_weight: float) -> NDArray[np.float64]:
    """Return probabilities corrected for the weight of positives in their training; outputs as they are for 1.

    The odds are ``event_weight`` times too large (Elkan, 2001, The foundations of cost-sensitive learning, theorem
    2). The correction keeps the order of the rows.
    """
    return outputs if event_weight == 1.0 else outputs / (outputs + event_weight * (1 - outputs))
