"""Progress of a training: a log line every few seconds, and metrics of each round."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

from nightjar.declaration.quality import QualityMetric

PROGRESS_SECONDS = 2.0

Report = Callable[[int, Mapping[str, float]], None]
"""Receives the number of finished rounds, and metrics by name."""


def silent(*_: object) -> None:
    """Do nothing: for ranks other than 0, and for trainings without progress output."""


def score_by_round(kind: str, metric: str) -> str:
    """Return the name under which an engine logs the validation metric of each round."""
    return f"{kind}_validation_{metric}_by_round"


class Progress:
    """Report finished rounds, the validation metric, rows per second and seconds left of one engine's training.

    Args:
        kind: Kind of the engine.
        metric: The validation metric.
        rows: Training rows of all ranks.
        say: Receives a line at the first round and then every :data:`PROGRESS_SECONDS`.
        report: Receives each round's metrics: ``<kind>_validation_<metric>_by_round``,
            ``<kind>_rows_per_second_by_round`` and ``<kind>_seconds_left`` (an upper bound, because of early
            stopping). A network's round is an epoch.

    Attributes:
        rows_per_second: Training rows times rounds of this process, divided by their seconds.
    """

    def __init__(self, kind: str, metric: QualityMetric, rows: int, say: Callable[[str], None], report: Report) -> None:
        self._kind = kind
        self._metric = metric
        self._rows = rows
        self._say = say
        self._report = report
        self.rows_per_second = 0.0

    def start(self, history: Sequence[float], num_rounds: int) -> None:
        """Start the clock before the first round; ``history`` holds the rounds of a checkpoint."""
        self._num_rounds = num_rounds
        self._resumed_rounds = len(history)
        self._started = time.monotonic()
        self._logged_at = float("-inf")
        if history:
            self._say(f"{self._kind}: resuming after round {len(history)} of at most {num_rounds}, from a checkpoint")

    def round_done(self, history: Sequence[float]) -> None:
        """Report a finished round; the last value of ``history`` is its metric."""
        now, completed = time.monotonic(), len(history)
        seconds_per_round = (now - self._started) / (completed - self._resumed_rounds)
        seconds_left = seconds_per_round * (self._num_rounds - completed)
        self.rows_per_second = self._rows / seconds_per_round
        figures = {
            score_by_round(self._kind, self._metric.name): history[-1],
            f"{self._kind}_rows_per_second_by_round": self.rows_per_second,
            f"{self._kind}_seconds_left": seconds_left,
        }
        self._report(completed, figures)
        if now - self._logged_at >= PROGRESS_SECONDS:
            self._logged_at = now
            self._say(
                f"{self._kind}: round {completed} of at most {self._num_rounds} | "
                f"validation {self._metric.name} {history[-1]:.4f} (best {self._metric.best(history):.4f}) | "
                f"{self.rows_per_second:,.0f} rows/s | at most {seconds_left:.0f} s left"
            )
