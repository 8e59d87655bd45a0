"""Trailing history on literal labels: what counts when, and how it is smoothed.

Each scenario has a year of its own, so that one Spark job answers them all.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from nightjar.protocol.nights import Nights
from use_cases.flight_delay.columns import HISTORY_KINDS, WINDOWS
from use_cases.flight_delay.sources import TIMEZONE

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = pytest.mark.spark
FLIGHT = "carrier string, flight int, origin string, dest string, tailnum string, sched_dep_time int"
Flight = tuple[str, int, str, str, str | None, int]
ASKED: Flight = ("UA", 1, "EWR", "SFO", "N1", 830)
NO_PLANE: Flight = ("UA", 1, "EWR", "SFO", None, 830)
BYSTANDER: Flight = ("XX", 99, "JFK", "MIA", "N9", 2100)
NEW_YORK_MIDNIGHT = time(5)  # in UTC, in winter
JUST_BEFORE = time(4, 59, 59)


@dataclass(frozen=True)
class Landed:
    """A flight that arrived ``age`` days before the night (-1: the day after), at ``clock`` UTC.

    The files of night ``of`` days after the night hold it; by default those of its arrival, or of the night itself.
    """

    delay: float | None
    age: int = 0
    clock: time = time(17)
    flight: Flight = ASKED
    of: int | None = None

    def ds(self, night: date) -> date:
        return night + timedelta(days=-max(self.age, 0) if self.of is None else self.of)


def one_of_each(flown: Flight) -> list[Landed]:
    return [Landed(60.0, flight=flown), Landed(0.0, flight=BYSTANDER)]


SHARED: dict[Flight, set[str]] = {
    ("UA", 2, "LGA", "ORD", "N2", 1200): {"carrier"},
    ("UA", 2, "EWR", "ORD", "N2", 1200): {"carrier", "carrier_origin"},
    ("B6", 2, "LGA", "SFO", "N2", 1200): {"dest"},
    ("B6", 2, "EWR", "SFO", "N2", 1200): {"dest", "route"},
    ("B6", 2, "EWR", "ORD", "N2", 859): {"origin_hour"},
    ("B6", 2, "EWR", "ORD", "N2", 900): set(),
    ("B6", 2, "LGA", "ORD", "N1", 1200): {"tail"},
    ("B6", 1, "LGA", "ORD", "N2", 1200): set(),  # another carrier's flight 1
    ("UA", 1, "LGA", "ORD", "N2", 1200): {"carrier", "flight"},
}
SCENARIOS: dict[Any, tuple[Flight, list[Landed]]] = {
    "windows": (ASKED, [Landed(float(age), age=age) for age in (0, 6, 7, 27, 28)]),
    "midnight": (ASKED, [Landed(10.0, -1, JUST_BEFORE), Landed(100.0, -1, NEW_YORK_MIDNIGHT)]),
    "late": (ASKED, [Landed(delay) for delay in (15.0, 16.0, -5.0, None)]),
    "cap": (ASKED, [Landed(1300.0)]),
    "smoothing": (ASKED, [Landed(60.0)] * 2 + [Landed(0.0, flight=BYSTANDER)] * 6),
    "no plane": (NO_PLANE, [Landed(60.0, flight=("B6", 2, "LGA", "ORD", None, 1200)), Landed(0.0, flight=BYSTANDER)]),
    "landed before its day": (ASKED, [Landed(10.0), Landed(-180.0, of=1)]),
    "nothing known": (ASKED, [Landed(100.0, -2)]),
    **{flown: (ASKED, one_of_each(flown)) for flown in SHARED},
}
NIGHTS = {name: date(2001 + i, 1, 15) for i, name in enumerate(SCENARIOS)}


@pytest.fixture(scope="module")
def found(spark: SparkSession) -> dict[Any, dict[str, Any]]:
    """Scenario to the history of the flight that it asks for."""
    from pyspark.sql import functions as F

    from use_cases.flight_delay.history import known_labels, trailing_counts, with_history

    landed = [
        (
            *item.flight,
            item.ds(NIGHTS[name]),
            None if item.delay is None else str(datetime.combine(NIGHTS[name] - timedelta(days=item.age), item.clock)),
            item.delay,
        )
        for name, (_, items) in SCENARIOS.items()
        for item in items
    ]
    flights = spark.createDataFrame(landed, f"{FLIGHT}, ds date, arrived_at string, arr_delay double")
    flights = flights.withColumn("arrived_at", F.col("arrived_at").cast("timestamp"))
    asked = [(NIGHTS[name], *flight) for name, (flight, _) in SCENARIOS.items()]
    schedule = spark.createDataFrame(asked, f"ds date, {FLIGHT}")
    years = Nights(first=min(NIGHTS.values()), last=max(NIGHTS.values()), timezone=TIMEZONE)
    counts = trailing_counts(known_labels(flights), years).localCheckpoint()
    rows = with_history(schedule, counts).collect()
    by_night = {row["ds"]: row.asDict() for row in rows}
    assert len(rows) == len(by_night) == len(SCENARIOS)
    return {name: by_night[night] for name, night in NIGHTS.items()}


def test_every_declared_kind_has_a_key() -> None:
    from use_cases.flight_delay.history import KEYS

    assert list(KEYS) == list(HISTORY_KINDS)


def test_each_window_holds_the_days_that_it_says(found: dict[Any, dict[str, Any]]) -> None:
    row = found["windows"]  # the label of 28 days ago is out of all windows
    assert row["all_delay_1d"] == 0.0
    assert row["all_delay_7d"] == (0 + 6) / 2
    assert row["all_delay_28d"] == (0 + 6 + 7 + 27) / 4


def test_a_flight_that_lands_after_midnight_is_not_known(found: dict[Any, dict[str, Any]]) -> None:
    row = found["midnight"]
    assert row["all_delay_1d"] == row["all_delay_28d"] == 10.0
    assert row["all_late_rate_1d"] == 0.0


def test_a_label_of_a_later_night_is_not_known_however_early_it_says_that_it_landed(
    found: dict[Any, dict[str, Any]],
) -> None:
    assert found["landed before its day"]["all_delay_1d"] == 10.0


def test_more_than_fifteen_minutes_is_late_and_a_cancelled_flight_counts_nowhere(
    found: dict[Any, dict[str, Any]],
) -> None:
    assert found["late"]["all_late_rate_1d"] == 1 / 3
    assert found["late"]["all_delay_1d"] == 26 / 3


def test_a_delay_counts_up_to_four_hours(found: dict[Any, dict[str, Any]]) -> None:
    assert found["cap"]["all_delay_1d"] == 240.0


def test_rates_and_delays_are_smoothed_to_the_overall_ones(found: dict[Any, dict[str, Any]]) -> None:
    row, overall_rate, overall_delay = found["smoothing"], 2 / 8, 120 / 8
    assert row["all_late_rate_7d"] == overall_rate
    for kind in set(HISTORY_KINDS) - {"all"}:
        assert row[f"{kind}_late_rate_7d"] == pytest.approx((2 + 20 * overall_rate) / (2 + 20))
        assert row[f"{kind}_delay_7d"] == pytest.approx((120 + 20 * overall_delay) / (2 + 20))


@pytest.mark.parametrize("flown", SHARED)
def test_each_kind_looks_at_its_own_flights(found: dict[Any, dict[str, Any]], flown: Flight) -> None:
    row = found[flown]
    moved = {kind for kind in HISTORY_KINDS if kind != "all" and row[f"{kind}_late_rate_1d"] != 0.5}
    assert moved == SHARED[flown]


def test_flights_without_a_plane_share_no_history(found: dict[Any, dict[str, Any]]) -> None:
    assert found["no plane"]["tail_late_rate_28d"] == found["no plane"]["all_late_rate_28d"] == 0.5


def test_while_nothing_is_known_history_is_null(found: dict[Any, dict[str, Any]]) -> None:
    row = found["nothing known"]
    assert {row[f"{kind}_delay_{days}d"] for kind in HISTORY_KINDS for days in WINDOWS} == {None}
