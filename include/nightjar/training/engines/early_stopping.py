"""Early stopping and selection of the best round. Standard library only."""

from __future__ import annotations

from collections.abc import Sequence


def best_round(history: Sequence[float]) -> int:
    """Return the first round with the best AUC, counted from 0."""
    return max(range(len(history)), key=history.__getitem__)


def stalled(history: Sequence[float], patience: int | None) -> bool:
    """Whether the last ``patience`` rounds have not improved the best AUC; always false when it is None."""
    return patience is not None and bool(history) and len(history) - 1 - best_round(history) >= patience
