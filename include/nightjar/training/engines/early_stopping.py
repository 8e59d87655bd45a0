"""When a training has gone on long enough, and which of its rounds is kept. Standard library only."""

from __future__ import annotations

from collections.abc import Sequence


def best_round(history: Sequence[float]) -> int:
    """The first round, from 0, with the best AUC."""
    return max(range(len(history)), key=history.__getitem__)


def stalled(history: Sequence[float], patience: int | None) -> bool:
    """Whether the last ``patience`` rounds were no better than the best before them; never, where it is None."""
    return patience is not None and bool(history) and len(history) - 1 - best_round(history) >= patience
