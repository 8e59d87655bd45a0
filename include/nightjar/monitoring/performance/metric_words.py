"""Names, meanings and formats of metrics, for pages and findings. Plain text; the template escapes it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from nightjar.monitoring.performance.intervals import Interval
from nightjar.monitoring.reporting.formatting import number, share

DASH = "\u2013"


@dataclass(frozen=True, kw_only=True)
class MetricWords:
    """A metric in words.

    Attributes:
        name: Display name.
        phrase: Name within the sentence of a finding, with the unit where values have one.
        meaning: What it measures.
        form: ``score`` has three decimals, ``share`` is shown as percent, ``number`` has three significant digits.
        unit: Unit of its values; empty for none.
        is_key: Whether it is one of the key figures at the top of a page; others are only in the table of all figures.
        is_level: Whether it describes the labels and not the predictions: its baseline is a value of earlier nights.
        shows_baseline: Whether plots show its baseline, which is left out where it is the same every night.
    """

    name: str
    phrase: str
    meaning: str
    form: Literal["score", "share", "number"] = "score"
    unit: str = ""
    is_key: bool = True
    is_level: bool = False
    shows_baseline: bool = True

    def figure(self, value: float | None, *, with_unit: bool = False) -> str:
        """Format a value for a page; a dash for None."""
        if value is None:
            return DASH
        if self.form == "share":
            return share(value)
        if self.form == "number":
            return f"{number(value)}\u202f{self.unit}".rstrip() if with_unit else number(value)
        return f"{value:.3f}".replace("-", "\u2212")

    def span(self, low: float | None, high: float | None) -> str:
        """Format an interval for a page; a dash for None."""
        if low is None or high is None:
            return DASH
        return f"{self.figure(low)} to {self.figure(high)}"

    def limit(self, value: float) -> str:
        """Format a declared bound for a page."""
        return f"{value:g}\u202f{self.unit}".rstrip()

    def axis(self, value: float) -> str:
        """Format a mark of an axis."""
        return share(value) if self.form == "share" else f"{value:g}"

    def plain(self, value: float) -> str:
        """Format a value for a finding."""
        return f"{value:.4g}" if self.form == "number" else f"{value:.3f}"

    def plain_interval(self, interval: Interval) -> str:
        """Format a value with its interval for a finding."""
        return f"{self.plain(interval.value)} ({self.plain(interval.low)} to {self.plain(interval.high)})"
