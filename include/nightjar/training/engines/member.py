"""What one engine has trained: a member of a model, alone or among others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Member(Protocol):
    """What one engine has trained, ready to predict."""

    def predict(self, matrix: NDArray[np.float32], *, threads: int) -> NDArray[np.float64]:
        """Uncalibrated probabilities of the rows of ``matrix`` (see :func:`nightjar.training.data.encoding.encode`).

        A row's value depends neither on its neighbours nor on ``threads``.
        """

    def content(self) -> Mapping[str, bytes]:
        """Its files by name; the names are those that its engine's ``load`` reads."""


@dataclass(frozen=True, kw_only=True)
class MemberCard:
    """What is known of a member.

    Attributes:
        kind: Its engine, a key of :data:`nightjar.training.model.LOADERS`.
        engine: The library, and the version of it that trained.
        params: Parameters given to the engine.
        rounds: Rounds or epochs kept: the best one and those before.
        validation_auc: AUC on the validation days at that round.
        weight: Share in the model's answer; the members' weights add up to 1.
        event_weight: How much an event weighed against another row while it was trained.
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
    """A member's probabilities for classes as frequent as they are, also where events weighed more in its training.

    The odds that it was trained to give are ``event_weight`` times too large (Elkan, 2001, The foundations of
    cost-sensitive learning, theorem 2). The rows keep their order.
    """
    answers = member.predict(matrix, threads=threads)
    return answers if event_weight == 1.0 else answers / (answers + event_weight * (1 - answers))
