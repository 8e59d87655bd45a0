"""Members: the trained models of single engines, of which a model consists."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from nightjar.training.data.weighting import without_class_weights

if TYPE_CHECKING:
    import numpy as np
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


@runtime_checkable
class Explained(Protocol):
    """A member that says what each feature contributes to a prediction."""

    def contributions(self, matrix: NDArray[np.float32], *, threads: int) -> NDArray[np.floating[Any]]:
        """Return SHAP values of the margin: rows x features or, for several outputs, rows x outputs x features."""


@runtime_checkable
class Trees(Explained, Protocol):
    """A member of trees."""

    def gains(self) -> NDArray[np.float64]:
        """Return the total gain of each feature's splits."""


@dataclass(frozen=True, kw_only=True)
class MemberCard:
    """Description of a member.

    Attributes:
        name: Name of the member, of which a model has one; that of its engine, or its kind.
        kind: Its engine, a key of :data:`nightjar.training.model.LOADERS`.
        engine: Name and version of the library.
        params: Parameters of the engine.
        rounds: Number of rounds or epochs up to the best one.
        validation_score: Validation metric (:class:`ModelCard.validation_metric`) at that round.
        weight: Weight in the model's prediction; the members' weights add up to 1.
        class_weights: Weight of each class in its training, relative to its share among all rows, in the order of the
            problem's classes (0 and 1 for a binary problem); empty when all weigh alike.
    """

    name: str
    kind: str
    engine: str
    params: Mapping[str, Any]
    rounds: int
    validation_score: float
    weight: float = 1.0
    class_weights: tuple[float, ...] = ()


def outputs_of(member: Member, card: MemberCard, matrix: NDArray[np.float32], *, threads: int) -> NDArray[np.float64]:
    """Return a member's outputs; probabilities are corrected for the weights of the classes in its training."""
    return without_class_weights(member.predict(matrix, threads=threads), card.class_weights)
