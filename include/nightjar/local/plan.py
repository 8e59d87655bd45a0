"""What the commands ask Airflow for: history, training, nights; the same work has the same run id."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from importlib.util import find_spec
from pathlib import Path
from zoneinfo import ZoneInfo

from nightjar.declaration.use_case import UseCase, load_use_case
from nightjar.local.follow import Request
from nightjar.protocol.errors import ConfigurationError
from nightjar.protocol.nights import Nights

USE_CASE = "flight_delay"
"""The use case of the commands that are given none."""
HISTORY_NIGHTS = 90
FIRST_NIGHTS = 3
MAINTENANCE = "lake_maintenance"


def known_use_cases() -> list[str]:
    """Names of the use cases that are declared."""
    spec = find_spec("use_cases")
    folders = [Path(place) for place in (spec.submodule_search_locations or ())] if spec else []
    return sorted(file.parent.name for folder in folders for file in folder.glob("*/use_case.py"))


def chosen_use_case(name: str) -> UseCase:
    """Return the use case that ``USE_CASE=`` names; the default one when it names none.

    Raises:
        ConfigurationError: when there is no such use case, with those that there are.
    """
    name = name.strip() or USE_CASE
    if name not in (known := known_use_cases()):
        raise ConfigurationError(
            f"unknown use case {name!r}",
            where="USE_CASE",
            fix=f"choose one of {', '.join(known)}; `make new-use-case` writes another",
        )
    return load_use_case(name)


def first_history(use_case: UseCase) -> tuple[date, date]:
    """First and last night of the first training: the first 90 that the sources hold, or as many as there are."""
    yesterday = datetime.now(ZoneInfo(use_case.timezone)).date() - timedelta(days=1)
    last = min(use_case.first_night + timedelta(days=HISTORY_NIGHTS - 1), use_case.last_night or yesterday, yesterday)
    return parse_nights(use_case, str(use_case.first_night), str(last))


def first_nights(use_case: UseCase) -> list[date]:
    """The nights that follow the first training."""
    _, last = first_history(use_case)
    return [last + timedelta(days=days) for days in range(1, FIRST_NIGHTS + 1)]


def dag_ids(use_case: UseCase) -> tuple[str, str, str]:
    """The use case's DAGs: history, training, nightly."""
    return f"{use_case.name}_history", f"{use_case.name}_training", f"{use_case.name}_nightly"


def history(use_case: UseCase, first: date, last: date) -> Request:
    """The first load of the nights ``first`` to ``last``."""
    return Request(
        title=f"history {first} to {last}",
        dag_id=dag_ids(use_case)[0],
        run_id=f"history__{first}__{last}",
        conf={"interval_start": str(first), "interval_end": str(last)},
    )


def training(use_case: UseCase, first: date, last: date, *, attempt: str = "") -> Request:
    """A training on the nights ``first`` to ``last``.

    Args:
        use_case: The use case.
        first: First night.
        last: Last night, included.
        attempt: Makes it another run, which trains again.
    """
    return Request(
        title=f"training on {first} to {last}",
        dag_id=dag_ids(use_case)[1],
        run_id=f"training__{first}__{last}" + (f"__{attempt}" if attempt else ""),
        conf={"interval_start": str(first), "interval_end": str(last), "force": bool(attempt)},
    )


def night(use_case: UseCase, day: date) -> Request:
    """The night that follows the local day ``day``."""
    return Request(
        title=f"night {day}",
        dag_id=dag_ids(use_case)[2],
        run_id=f"night__{day}",
        interval=(run_moment(use_case, day), run_moment(use_case, day + timedelta(days=1))),
    )


def maintenance(at: datetime) -> Request:
    """One more maintenance of the lake, asked for at ``at``."""
    return Request(title="maintenance", dag_id=MAINTENANCE, run_id=f"maintenance__{at:%Y%m%d-%H%M%S}")


def run_moment(use_case: UseCase, day: date) -> datetime:
    """The schedule's tick on the local day, in UTC: the logical date of the night ``day``.

    Raises:
        ConfigurationError: when the schedule has not one time for all days.
    """
    minute, hour, *days = use_case.schedule.split()
    if not (minute.isdigit() and hour.isdigit() and days == ["*"] * 3):
        raise ConfigurationError(
            f"the schedule {use_case.schedule!r} has not one time for all days",
            where=f"use case {use_case.name}",
            fix="run its nights from Airflow's page, or declare a schedule like `0 2 * * *`",
        )
    tick = datetime.combine(day, time(int(hour), int(minute)), tzinfo=ZoneInfo(use_case.timezone))
    return tick.astimezone(UTC)


def parse_nights(use_case: UseCase, first: str, last: str) -> tuple[date, date]:
    """Check dates given on the command line against what the sources hold.

    Raises:
        ConfigurationError: naming what is wrong with them.
    """
    try:
        begin, end = date.fromisoformat(first), date.fromisoformat(last)
    except ValueError as error:
        raise ConfigurationError(
            f"{first!r} to {last!r} are no dates", where="DATE, FROM, TO", fix="write each as YYYY-MM-DD"
        ) from error
    Nights(first=begin, last=end, timezone=use_case.timezone).check_past(datetime.now(UTC))
    known_until = use_case.last_night or end
    if begin < use_case.first_night or end > known_until:
        raise ConfigurationError(
            f"the sources of {use_case.name} hold the nights {use_case.first_night} to {known_until}",
            where="DATE, FROM, TO",
            fix="choose nights among these",
        )
    return begin, end
