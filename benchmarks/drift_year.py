"""Evaluate two drift measures that do not affect the verdict on a real year: domain classifier and weekly PSI.

Run ``make simulate YEAR=2013`` first; ``make bench-drift-year`` reads its features and prints one line of JSON.

- ``domain``: with January and February as the reference, every second night from March on is compared with it, and
  three nights of March again with ``distance`` shuffled among their flights, which changes no single column.
- ``weeks``: 12 of the year's 52 weeks are held out, three times; the share of their columns with a PSI above
  ``max_psi``, after subtracting the usual PSI of the reference's nights, and of its weeks.
"""

from __future__ import annotations

import json
import os
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from importlib.metadata import version
from typing import Any

import numpy as np
from pyspark.sql import SparkSession
from simulation_programs import session

from nightjar.declaration.use_case import UseCase, load_use_case
from nightjar.lake.lake import Lake
from nightjar.local.paths import Paths
from nightjar.local.plan import USE_CASE
from nightjar.monitoring.drift.comparison import compare_column
from nightjar.monitoring.drift.domain import Domain, separate_samples
from nightjar.monitoring.profiles.profile import Profile, ProfiledColumn, merge_all
from nightjar.monitoring.profiles.sample import NIGHT_ROWS, Sample
from nightjar.monitoring.profiles.variation import with_variation
from nightjar.protocol.nights import Nights
from nightjar_spark.profiling import profile_and_sample, profile_reference

SEED = 2013
DRAWS, HELD_OUT = 3, 12
SHUFFLED = "distance"


def domain_of_year(reference: Profile, samples: Mapping[date, Sample], rng: np.random.Generator) -> dict[str, Any]:
    """Run the domain classifier for each month, and with a shuffled column."""
    assert reference.sample is not None
    reference_sample, names = reference.sample, list(reference.sample.columns)

    def separate(sample: Sample) -> Domain:
        domain = separate_samples(reference_sample, sample, reference, names, reference.usual_auc)
        assert domain is not None
        return domain

    by_month: dict[str, list[Domain]] = {}
    for night, sample in samples.items():
        by_month.setdefault(f"{night:%b}", []).append(separate(sample))
    shuffled = []
    for sample in list(samples.values())[2:15:6]:
        values = np.array(sample.columns[SHUFFLED], dtype=object)[rng.permutation(sample.rows)]
        shuffled.append(separate(Sample({**sample.columns, SHUFFLED: values.tolist()})))
    top_columns = [
        next(iter(domain.shares)) for month in by_month.values() for domain in month if domain.verdict == "drift"
    ]
    return {
        "columns": len(names),
        "usual_auc": reference.usual_auc,
        "median_auc": {name: round(statistics.median(d.auc.value for d in of), 2) for name, of in by_month.items()},
        "drift": {name: sum(domain.verdict == "drift" for domain in month) for name, month in by_month.items()},
        "nights": {name: len(of) for name, of in by_month.items()},
        "top_columns": {name: top_columns.count(name) for name in sorted(set(top_columns))},
        "shuffled_auc": [round(domain.auc.value, 2) for domain in shuffled],
        "shuffled_top_columns": [list(domain.shares)[:2] for domain in shuffled],
    }


def weeks_of_year(
    profiles: Mapping[date, Profile], watched: Sequence[str], max_psi: float, rng: np.random.Generator
) -> dict[str, float]:
    """Return the share of held-out weeks' columns with a PSI above ``max_psi``."""
    nights = list(profiles.values())
    weeks = [nights[i : i + 7] for i in range(0, len(nights) - 6, 7)]
    above: dict[str, list[bool]] = {"usual_of_nights": [], "usual_of_weeks": []}
    for _ in range(DRAWS):
        order = rng.permutation(len(weeks))
        known = [weeks[i] for i in order[HELD_OUT:]]
        merged = merge_all([night for week in known for night in week])
        by_nights = with_variation(merged, [night for week in known for night in week])
        by_weeks = with_variation(merged, [merge_all(week) for week in known])
        for i in order[:HELD_OUT]:
            week = merge_all(weeks[i])
            for kind, reference in zip(above, (by_nights, by_weeks), strict=True):
                above[kind] += [
                    compare_column(reference.columns[name], week.columns[name], reference.variation[name]).psi > max_psi
                    for name in watched
                ]
    return {kind: round(float(np.mean(found)), 4) for kind, found in above.items()}


def measure(spark: SparkSession, lake: Lake, use_case: UseCase, year: int) -> dict[str, Any]:
    """Run both evaluations."""
    rng = np.random.default_rng(SEED)
    columns = [ProfiledColumn(feature.name, feature.kind) for feature in use_case.features.columns]
    watched = [feature.name for feature in use_case.features.columns if feature.drift]
    table = use_case.feature_table.name
    known = list(Nights(first=date(year, 1, 1), last=date(year, 2, 28), timezone=use_case.schedule.timezone))
    reference = profile_reference(spark, lake, table, columns, known, use_case.key, watched=watched)
    later = list(Nights(first=date(year, 3, 1), last=date(year, 12, 31), timezone=use_case.schedule.timezone))
    rows = dict.fromkeys([*known, *later], 0) | dict.fromkeys(later[::2], NIGHT_ROWS)
    profiles, samples = profile_and_sample(spark, lake, table, columns, reference, rows, use_case.key)
    return {
        "watched": len(watched),
        "domain": domain_of_year(reference, dict(sorted(samples.items())), rng),
        "weeks": weeks_of_year(dict(sorted(profiles.items())), watched, use_case.monitoring.drift.max_psi, rng),
    }


def main() -> None:
    """Print the results as one line of JSON."""
    year = int(os.environ.get("YEAR") or 2013)
    checkout, use_case = Paths.here(), load_use_case(USE_CASE)
    paths = replace(checkout, state=checkout.var / "simulation" / str(year))
    if not (paths.lake / use_case.feature_table.name).exists():
        raise SystemExit(f"no features in {paths.lake}: run `make simulate YEAR={year}` first")
    with session(paths, os.environ) as spark:
        found = measure(spark, Lake(str(paths.lake)), use_case, year)
    print(json.dumps({
        "benchmark": "drift_year", "year": year, **found,
        "versions": {name: version(name) for name in ("numpy", "pyspark", "scipy", "xgboost")},
    }))  # fmt: skip


if __name__ == "__main__":
    main()
