"""From a model's answers to probabilities that mean what they say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class Calibrator:
    """A map from answers in [0, 1] to probabilities that never changes their order.

    Attributes:
        method: ``none`` gives back what it gets.
    """

    method: Literal["none", "platt", "isotonic"] = "none"

    def apply(self, answers: NDArray[np.float64]) -> NDArray[np.float64]:
        """Probabilities of ``answers``, one a row."""
        return answers

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Calibrator:
        """From what ``asdict`` gave and JSON kept."""
        return cls(**document)
