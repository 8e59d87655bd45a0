"""One kind of corruption, and its expected outcome. ``may`` marks what no contract can promise to catch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from tests.corruptions.landed import Landed

Must = Literal["stopped", "rejected", "warned", "nothing", "may"]
Corrupt = Callable[[Landed], None]
FLIGHTS, SCHEDULE, WEATHER, PLANES, AIRPORTS, AIRLINES = (
    f"{name}.csv" for name in ("flights", "schedule", "weather", "planes", "airports", "airlines")
)
DATE = ["year", "month", "day"]


@dataclass(frozen=True)
class Kind:
    """One kind of bad data."""

    name: str
    must: Must
    corrupt: Corrupt


def adder(kinds: list[Kind]) -> Callable[[Must], Callable[[Corrupt], Corrupt]]:
    """Return a decorator that adds a function to ``kinds``, by its name."""

    def kind(must: Must) -> Callable[[Corrupt], Corrupt]:
        def add(corrupt: Corrupt) -> Corrupt:
            kinds.append(Kind(corrupt.__name__, must, corrupt))
            return corrupt

        return add

    return kind
