"""Replay of the recorded flights for this use case."""

from __future__ import annotations

from nightjar.protocol.nights import Nights
from use_cases.departures.use_case import USE_CASE
from use_cases.flight_delay import landing as flights


def land(nights: Nights, landing: str) -> int:
    """Land the files of each night whose folder does not exist; return the rows written."""
    return flights.land(nights, landing, USE_CASE)
