"""Runs that the commands request from Airflow: history, training, nights. Equal work has an equal run id."""

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
"""Default use case of the commands."""
HISTORY_NIGHTS = 90
FIRST_NIGHTS = 3
MAINTENANCE = "lake_maintenance"


def known_use_cases() -> list[str]:
    """Return the names of all declared use cases."""
    spec = find_spec("use_cases")
    folders = [Path(place) for place in (spec.submodule_search_locations or ())] if spec else []
    return sorted(file.parent.name for folder in folders for file in folder.glob("*/use_case.py"))


def chosen_use_case(name: str) -> UseCase:
    """Return the use case named by ``USE_CASE=``, or the default one.

    Raises:
        ConfigurationError: for an unknown name, listing the known ones.
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
    """Return first and last night of the first training: the first 90 nights of the sources, or all if fewer.

    Labels that land later than on the next night take more nights, so that as many days remain to train on: the nights
    until the first label lands, and the two gaps between the parts of the training set.
    """
    schedule = use_case.schedule
    nights = HISTORY_NIGHTS + 3 * (use_case.target.label_horizon_nights - 1)
    yesterday = datetime.now(ZoneInfo(schedule.timezone)).date() - timedelta(days=1)
    last = min(schedule.first_night + timedelta(days=nights - 1), schedule.last_night or yesterday, yesterday)
    return parse_nights(use_case, str(schedule.first_night), str(last))


def first_nights(use_case: UseCase) -> list[date]:
    """Return the nights after the first training."""
    _, last = first_history(use_case)
    return [last + timedelta(days=days) for days in range(1, FIRST_NIGHTS + 1)]


def dag_ids(use_case: UseCase) -> tuple[str, str, str]:
    """Return the ids of the use case's DAGs: history, training, nightly."""
    return f"{use_case.name}_history", f"{use_case.name}_training", f"{use_case.name}_nightly"


def history(use_case: UseCase, first: date, last: date) -> Request:
    """Return the request to load the nights ``first`` to ``last``."""
    return Request(
        title=f"history {first} to {last}",
        dag_id=dag_ids(use_case)[0],
        run_id=f"history__{first}__{last}",
        conf={"interval_start": str(first), "interval_end": str(last)},
    )


def training(use_case: UseCase, first: date, last: date, *, attempt: str = "") -> Request:
    """Return the request to train on the nights ``first`` to ``last``.

    Args:
        use_case: The use case.
        first: First night.
        last: Last night, inclusive.
        attempt: Makes the run id unique, for another training on the same nights.
    """
    return Request(
        title=f"training on {first} to {last}",
        dag_id=dag_ids(use_case)[1],
        run_id=f"training__{first}__{last}" + (f"__{attempt}" if attempt else ""),
        conf={"interval_start": str(first), "interval_end": str(last), "force": bool(attempt)},
    )


def night(use_case: UseCase, day: date) -> Request:
    """Return the request for the night that follows the local day ``day``."""
    return Request(
        title=f"night {day}",
        dag_id=dag_ids(use_case)[2],
        run_id=f"night__{day}",
        interval=(run_moment(use_case, day), run_moment(use_case, day + timedelta(days=1))),
    )


def maintenance(at: datetime) -> Request:
    """Return the request for a maintenance of the lake at ``at``."""
    return Request(title="maintenance", dag_id=MAINTENANCE, run_id=f"maintenance__{at:%Y%m%d-%H%M%S}")


def run_moment(use_case: UseCase, day: date) -> datetime:
    """Return the scheduled time on the local day, in UTC: the logical date of the night ``day``.

    Raises:
        ConfigurationError: when the schedule differs between days.
    """
    minute, hour, *days = use_case.schedule.nightly.split()
    if not (minute.isdigit() and hour.isdigit() and days == ["*"] * 3):
        raise ConfigurationError(
            f"the schedule {use_case.schedule.nightly!r} does not have one time for all days",
            where=f"use case {use_case.name}",
            fix="run its nights from Airflow's page, or declare a schedule like `0 2 * * *`",
        )
    tick = datetime.combine(day, time(int(hour), int(minute)), tzinfo=ZoneInfo(use_case.schedule.timezone))
    return tick.astimezone(UTC)


def parse_nights(use_case: UseCase, first: str, last: str) -> tuple[date, date]:
    """Parse dates from the command line, and check that the sources have these nights.

    Raises:
        ConfigurationError: naming the problem.
    """
    try:
        begin, end = date.fromisoformat(first), date.fromisoformat(last)
    except ValueError as error:
        raise ConfigurationError(
            f"{first!r} to {last!r} are not dates", where="DATE, FROM, TO", fix="write each as YYYY-MM-DD"
        ) from error
    Nights(first=begin, last=end, timezone=use_case.schedule.timezone).check_past(datetime.now(UTC))
    known_until = use_case.schedule.last_night or end
    if begin < use_case.schedule.first_night or end > known_until:
        raise ConfigurationError(
            f"the sources of {use_case.name} hold the nights {use_case.schedule.first_night} to {known_until}",
            where="DATE, FROM, TO",
            fix="choose nights among these",
        )
    return begin, end
