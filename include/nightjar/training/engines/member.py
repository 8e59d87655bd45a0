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
        """Return uncalibrated probabilities for the rows of ``matrix``.

        See :func:`nightjar.training.data.encoding.encode` for the matrix. A row's probability depends neither on other
        rows nor on ``threads``.
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
        validation_auc: AUC on the validation days at that round.
        weight: Weight in the model's prediction; the members' weights add up to 1.
        event_weight: Weight of a positive row in its training, relative to a negative row.
    """

    kind: str
    engine: str
    params: Mapping[str, Any]
    rounds: int
    validation_auc: float
    weight: float = 1.0
    event_weight: float = 1.0


def probabilities(
    member: Member, event_weight: float, matrix: NDArray[np.float32], *, threads: int
) -> NDArray[np.float64]:
    """Return a member's probabilities, corrected for the weight of positives in its training.

    Its odds are ``event_weight`` times too large (Elkan, 2001, The foundations of cost-sensitive learning, theorem 2).
    The correction keeps the order of the rows.
    """
    weighted = member.predict(matrix, threads=threads)
    return weighted if event_weight == 1.0 else weighted / (weighted + event_weight * (1 - weighted))
