"""One night of flights by a plain pandas script: the yardstick of ``benchmarks/night.py``.

It does the night's work without any of its promises: read the landed files of the night and of its history, drop rows
out of range, compute features of the same kinds, score with the champion's file, write one Parquet file, and compute a
PSI per column. No contracts, no atomic publication, no ledger, no report.
"""

from __future__ import annotations

import json
import sys
import time
from datetime import date, timedelta
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import pyarrow as pa

from nightjar.training.model import TabularModel
from use_cases.flight_delay.columns import HISTORY_KINDS, WINDOWS

PRIOR = 20


def read(landing: Path, night: date, file: str, days: int = 1) -> pd.DataFrame:
    """The landed rows of the last ``days`` nights that are there."""
    nights = [night - timedelta(days=back) for back in range(days)]
    frames = [
        pd.read_csv(landing / str(ds) / file, parse_dates=["time_hour"] if file == "flights.csv" else None).assign(
            ds=ds
        )
        for ds in nights
        if (landing / str(ds)).is_dir()
    ]
    return pd.concat(frames, ignore_index=True)


def keys(flights: pd.DataFrame) -> dict[str, pd.Series]:
    """Whose history counts, by kind."""
    carrier, origin = flights["carrier"], flights["origin"]
    hour = (flights["sched_dep_time"] // 100).astype(str)
    return {
        "all": pd.Series("", index=flights.index),
        "carrier": carrier,
        "carrier_origin": carrier + origin,
        "dest": flights["dest"],
        "route": origin + flights["dest"],
        "origin_hour": origin + hour,
        "tail": flights["tailnum"].fillna(""),
        "flight": carrier + flights["flight"].astype(str),
    }


def features(landing: Path, night: date) -> pd.DataFrame:
    """One row a scheduled flight, with columns named as the model's inputs."""
    schedule = read(landing, night, "schedule.csv")
    flights = read(landing, night, "flights.csv", days=max(WINDOWS)).dropna(subset=["arr_delay"])
    flights = flights[flights["arr_delay"].between(-180, 2880)]
    weather, planes = read(landing, night, "weather.csv"), read(landing, night, "planes.csv")
    out = schedule[["carrier", "flight", "origin", "dest", "tailnum", "distance"]].copy()
    out["day_of_week"] = (night + timedelta(days=1)).isoweekday() % 7 + 1
    minute = schedule["sched_dep_time"] // 100 * 60 + schedule["sched_dep_time"] % 100
    out["departure_minute"] = minute
    out["arrival_minute"] = schedule["sched_arr_time"] // 100 * 60 + schedule["sched_arr_time"] % 100
    out["scheduled_minutes"] = (out["arrival_minute"] - minute) % 1440
    by_origin = minute.groupby(schedule["origin"])
    out["origin_departures_day"] = by_origin.transform("size")
    out["origin_departures_around"] = by_origin.transform(lambda m: [((m - x).abs() <= 30).sum() for x in m])
    out["origin_departures_before"] = by_origin.transform(lambda m: [m.between(x - 180, x).sum() for x in m])
    out["carrier_departures_day"] = minute.groupby([schedule["origin"], schedule["carrier"]]).transform("size")
    by_tail = minute.groupby(schedule["tailnum"])
    out["plane_leg"], out["plane_legs"] = by_tail.rank("first"), by_tail.transform("size")
    out["plane_gap_minutes"] = minute - minute.sort_values().groupby(schedule["tailnum"]).shift()
    plane = planes.set_index("tailnum")
    out["plane_seats"] = schedule["tailnum"].map(plane["seats"])
    out["plane_age_years"] = night.year - schedule["tailnum"].map(plane["year"])
    return _with_history(_with_weather(out, weather), schedule, flights, night)


def _with_weather(out: pd.DataFrame, weather: pd.DataFrame) -> pd.DataFrame:
    day = weather.sort_values("time_hour").groupby("origin")
    recent = weather.sort_values("time_hour").groupby("origin").tail(6).groupby("origin")
    columns = {
        "precip_recent": recent["precip"].sum(),
        "precip_day": day["precip"].sum(),
        "visibility_last": day["visib"].last(),
        "visibility_low": recent["visib"].min(),
        "wind_recent": recent["wind_speed"].mean(),
        "pressure_last": day["pressure"].last(),
        "pressure_change": day["pressure"].last() - recent["pressure"].first(),
        "temp_last": day["temp"].last(),
        "dewp_last": day["dewp"].last(),
        "pressure_missing": day["pressure"].apply(lambda values: values.isna().mean()),
    }
    return out.assign(**{name: out["origin"].map(values) for name, values in columns.items()})


def _with_history(out: pd.DataFrame, schedule: pd.DataFrame, flights: pd.DataFrame, night: date) -> pd.DataFrame:
    wanted, known = keys(schedule), keys(flights)
    added = {}
    for days in WINDOWS:
        inside = flights["ds"] > night - timedelta(days=days)
        delay = flights.loc[inside, "arr_delay"].clip(-240, 240)
        rate, mean = (delay > 15).mean(), delay.mean()
        for kind in HISTORY_KINDS:
            groups = delay.groupby(known[kind][inside])
            count, late, total = groups.size(), groups.apply(lambda d: (d > 15).sum()), groups.sum()
            smooth_rate, smooth_mean = (late + PRIOR * rate) / (count + PRIOR), (total + PRIOR * mean) / (count + PRIOR)
            added[f"{kind}_late_rate_{days}d"] = wanted[kind].map(smooth_rate).fillna(rate)
            added[f"{kind}_delay_{days}d"] = wanted[kind].map(smooth_mean).fillna(mean)
    return out.assign(**added)


def main(landing: str, model_folder: str, night: str, target: str) -> None:
    """Print one JSON line: seconds, rows, features."""
    began = time.perf_counter()
    model = TabularModel.load(model_folder)
    frame = features(Path(landing), date.fromisoformat(night))
    names = [feature.name for feature in model.card.features]
    for feature in model.card.features:
        kind: Literal["string", "float64"] = "string" if feature.kind == "categorical" else "float64"
        frame[feature.name] = frame[feature.name].astype(kind)
    frame["prediction"] = model.predict(pa.Table.from_pandas(frame[names], preserve_index=False))
    frame.to_parquet(target)
    psi = {}
    for name in frame[names].select_dtypes("number"):
        shares = np.histogram(frame[name].dropna(), bins=10)[0] / max(1, frame[name].notna().sum())
        psi[name] = float(np.sum((shares - 0.1) * np.log((shares + 1e-4) / 0.1001)))
    print(
        json.dumps(
            {"seconds": time.perf_counter() - began, "rows": len(frame), "features": len(names), "psi": len(psi)}
        )
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
