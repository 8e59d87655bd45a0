"""How far a training is: a line every few seconds, and the same figures to whoever follows them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

PROGRESS_SECONDS = 2.0

Report = Callable[[int, Mapping[str, float]], None]
"""Takes a number of rounds done, and figures by name."""


def silent(*_: object) -> None:
    """Says and reports nothing: for ranks beside the first, and for trainings whose rounds are of no interest."""


def auc_by_round(kind: str) -> str:
    """The metric that grows while an engine trains."""
    return f"{kind}_validation_auc_by_round"


class Progress:
    """Tells rounds done of how many, validation AUC, rows a second and seconds left of one engine's training.

    Args:
        kind: The engine's.
        rows: Training rows of all ranks.
        say: Takes a line, at the first round and then every :data:`PROGRESS_SECONDS`.
        report: Takes each round's figures: ``<kind>_validation_auc_by_round``, ``<kind>_rows_per_second_by_round`` and
            ``<kind>_seconds_left`` (at most: early stopping may end it before). An epoch is a network's round.

    Attributes:
        rows_per_second: Training rows times rounds that this process did, by the seconds that they took.
    """

    def __init__(self, kind: str, rows: int, say: Callable[[str], None], report: Report) -> None:
        self._kind = kind
        self._rows = rows
        self._say = say
        self._report = report
        self.rows_per_second = 0.0

    def start(self, history: Sequence[float], num_rounds: int) -> None:
        """The first round comes next; ``history`` is what a checkpoint holds already."""
        self._num_rounds = num_rounds
        self._before = len(history)
        self._started = time.monotonic()
        self._logged_at = float("-inf")
        if history:
            self._say(f"{self._kind}: going on after round {len(history)} of at most {num_rounds}, from a checkpoint")

    def round_done(self, history: Sequence[float]) -> None:
        """Another round is done; the last of ``history`` is its AUC."""
        now, done = time.monotonic(), len(history)
        each = (now - self._started) / (done - self._before)
        left = each * (self._num_rounds - done)
        self.rows_per_second = self._rows / each
        figures = {
            auc_by_round(self._kind): history[-1],
            f"{self._kind}_rows_per_second_by_round": self.rows_per_second,
            f"{self._kind}_seconds_left": left,
        }
        self._report(done, figures)
        if now - self._logged_at >= PROGRESS_SECONDS:
            self._logged_at = now
            self._say(
                f"{self._kind}: round {done} of at most {self._num_rounds} | validation AUC {history[-1]:.4f} "
                f"(best {max(history):.4f}) | {self.rows_per_second:,.0f} rows/s | at most {left:.0f} s left"
            )
