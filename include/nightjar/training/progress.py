"""How far a training is: a line every few seconds, and the same figures to whoever follows them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

PROGRESS_SECONDS = 2.0

Report = Callable[[int, Mapping[str, float]], None]
"""Takes a number of rounds done, and figures by name."""


class Progress:
    """Tells rounds done of how many, validation AUC, rows a second and seconds left.

    Args:
        rows: Training rows of all ranks.
        say: Takes a line, at the first round and then every :data:`PROGRESS_SECONDS`.
        report: Takes the figures of every round: ``validation_auc_by_round``, ``rows_per_second_by_round``,
            ``seconds_left`` (at most: early stopping may end it before).

    Attributes:
        rows_per_second: Training rows times rounds that this process did, by the seconds that they took.
    """

    def __init__(self, rows: int, say: Callable[[str], None], report: Report) -> None:
        self._rows = rows
        self._say = say
        self._report = report
        self.rows_per_second = 0.0

    def start(self, history: Sequence[float], num_rounds: int) -> None:
        """The first round comes next; ``history`` is what a checkpoint holds already."""
        self._num_rounds = num_rounds
        self._before = len(history)
        self._started = time.monotonic()
        self._said = float("-inf")
        if history:
            self._say(f"going on after round {len(history)} of at most {num_rounds}, from a checkpoint")

    def round_done(self, history: Sequence[float]) -> None:
        """Another round is done; the last of ``history`` is its AUC."""
        now, done = time.monotonic(), len(history)
        each = (now - self._started) / (done - self._before)
        left = each * (self._num_rounds - done)
        self.rows_per_second = self._rows / each
        figures = {
            "validation_auc_by_round": history[-1],
            "rows_per_second_by_round": self.rows_per_second,
            "seconds_left": left,
        }
        self._report(done, figures)
        if now - self._said >= PROGRESS_SECONDS:
            self._said = now
            self._say(
                f"round {done} of at most {self._num_rounds} | validation AUC {history[-1]:.4f} "
                f"(best {max(history):.4f}) | {self.rows_per_second:,.0f} rows/s | at most {left:.0f} s left"
            )
