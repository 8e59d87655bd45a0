"""Check train/score skew: compare the features served on earlier nights with those that training reads now.

The served features are the feature table at the version that the scores name. They are compared with the current
feature table, which training reads, and with features rebuilt in one range of nights up to the spec's last night, as in
a first load or a long backfill. Where a column differs, the night is built twice more, alone, to find the
cause.
"""

from __future__ import annotations

import logging
import time
from datetime import timedelta

from pyspark.sql import SparkSession

from nightjar.declaration.use_case import UseCase, load_use_case
from nightjar.lake.lake import Lake
from nightjar.monitoring.night_run import NightRun
from nightjar.monitoring.skew.table import SKEW_TABLE, not_judged_row, skew_rows
from nightjar.protocol.job import JobSpec
from nightjar.protocol.results import CheckSkewResult
from nightjar_spark.main import main
from nightjar_spark.skew_sample import ServedNight, SkewSample, is_readable

log = logging.getLogger(__name__)

NIGHTS_BEFORE = (1, 7)
"""Days before the spec's last night that are checked: the latest night with a later one, and one a week older."""
NOTHING_SERVED = "No earlier night was scored."
GONE = "The served features are older than the retention of the feature table."


def run(spark: SparkSession, spec: JobSpec) -> CheckSkewResult:
    """Check nights that were scored before the spec's last night, and store the verdicts under that night.

    Skew does not fail the task: it is a finding. Nights that cannot be compared are ``not_judged``, with the reason.

    Raises:
        LakeError: when the feature table or a raw table does not exist.
    """
    return check_skew(spark, spec, load_use_case(spec.use_case))


def check_skew(spark: SparkSession, spec: JobSpec, use_case: UseCase) -> CheckSkewResult:
    """:func:`run` for a given use case."""
    lake = Lake(spec.lake)
    began = time.monotonic()
    features = use_case.feature_table.name
    inputs = {
        name: int(lake.open_table(name).version())
        for name in (features, *(source.table.name for source in use_case.data.sources))
    }
    run = NightRun(night=spec.last_night, use_case=use_case.name, run_id=spec.run_id)
    served = _served(spec, use_case)
    readable = [night for night in served if is_readable(lake, features, night.features_version, [night.night])]
    skews = SkewSample(spark, spec, use_case, inputs, readable).compare()
    rows = [
        not_judged_row(GONE, run, checked=night.night, version=night.features_version)
        for night in served
        if night not in readable
    ]
    rows += [row for skew in skews for row in skew_rows(skew, run)]
    if not served:
        rows.append(not_judged_row(NOTHING_SERVED, run))
    for row in rows:
        if row.verdict != "same":
            log.info("%s of %s: %s. %s", row.column_name or "rows", row.checked_night, row.verdict, row.cause)
    version = lake.table(SKEW_TABLE).replace(rows, [spec.last_night], use_case=use_case.name, run_id=spec.run_id)
    skewed, changed = (
        tuple(sorted({column.name for skew in skews for column in skew.of(kind)}))
        for kind in ("skew", "history_changed")
    )
    return CheckSkewResult(
        rows_in=len(rows),
        rows_out=len(rows),
        inputs=inputs,
        outputs={SKEW_TABLE.name: version},
        metrics={"skewed_columns": float(len({c.name for skew in skews for c in skew.of("skew")}))},
        verdict="skew" if skewed else "history_changed" if changed else "same" if skews else "not_judged",
        skewed_columns=skewed,
        changed_columns=changed,
        checked_nights=tuple(skew.night for skew in skews),
        seconds={"check": round(time.monotonic() - began, 3)},
    )


def _served(spec: JobSpec, use_case: UseCase) -> list[ServedNight]:
    """Return the nights to check that were scored, oldest first."""
    scores = Lake(spec.lake).table(use_case.score_table)
    if not scores.exists():
        return []
    nights = [spec.last_night - timedelta(days=days) for days in NIGHTS_BEFORE]
    columns = ["ds", "features_version", "dag_run_id"]
    rows = scores.read_nights(nights, columns).group_by(columns).aggregate([]).to_pylist()
    by_night = {  # publishing replaces whole nights, so all rows of a night are equal here
        row["ds"]: ServedNight(night=row["ds"], features_version=row["features_version"], run_id=row["dag_run_id"])
        for row in rows
    }
    return [by_night[night] for night in sorted(by_night)]


if __name__ == "__main__":
    main(run)
