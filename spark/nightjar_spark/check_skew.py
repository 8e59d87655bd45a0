"""Check skew: whether the features that earlier nights were served are those that training would read of them now.

What was served is the feature table at the version that the scores name. It is compared with the feature table of now,
which training reads, and with the features built anew in one range of nights that ends with the spec's: as a first load
or a long backfill builds them, with all that has happened since lying in the tables. Where a column differs, the night
is built twice more, alone, to tell why.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from pyspark.sql import SparkSession

from nightjar.declaration.use_case import UseCase, load_use_case
from nightjar.lake import delta
from nightjar.monitoring.nightly_rows import replace_rows
from nightjar.monitoring.skew.table import SKEW_TABLE, NightSkew, not_judged_row, skew_rows
from nightjar.protocol.job import JobResult, JobSpec
from nightjar_spark.main import main
from nightjar_spark.skew_sample import ServedNight, SkewSample, is_held

log = logging.getLogger(__name__)

NIGHTS_BEFORE = (1, 7)
"""Looked at are the nights so many before the spec's: the youngest that has a future, and one that has a week of it."""
NOTHING_SERVED = "No earlier night was scored."
GONE = "The features that were served are beyond the retention of their table."


def run(spark: SparkSession, spec: JobSpec) -> JobResult:
    """Check nights that were scored before the spec's last night, and store the verdicts under that night.

    Skew fails no task: it is a finding. Nights that cannot be compared are ``not_judged``, with the reason.

    Raises:
        LakeError: when the feature table or a raw table is not there.
    """
    return check_skew(spark, spec, load_use_case(spec.use_case))


def check_skew(spark: SparkSession, spec: JobSpec, use_case: UseCase) -> JobResult:
    """:func:`run` for a given use case."""
    began = time.monotonic()
    features = use_case.feature_table.name
    inputs = {
        name: int(delta.open_table(spec.lake, name).version())
        for name in (features, *(source.table.name for source in use_case.sources))
    }
    about: dict[str, Any] = {"night": spec.last_night, "use_case": use_case.name, "run_id": spec.run_id}
    served = _served(spec, use_case)
    held = [one for one in served if is_held(spec.lake, features, one.features_version, [one.night])]
    skews = SkewSample(spark, spec, use_case, inputs, held).compare()
    rows = [
        not_judged_row(GONE, checked=one.night, version=one.features_version, **about)
        for one in served
        if one not in held
    ]
    rows += [row for skew in skews for row in skew_rows(skew, **about)]
    if not served:
        rows.append(not_judged_row(NOTHING_SERVED, **about))
    for row in rows:
        if row["verdict"] != "same":
            log.info(
                "%s of %s: %s. %s", row["column_name"] or "rows", row["checked_night"], row["verdict"], row["cause"]
            )
    version = replace_rows(spec.lake, SKEW_TABLE, rows, [spec.last_night], use_case=use_case.name, run_id=spec.run_id)
    return JobResult(
        status="succeeded",
        rows_in=len(rows),
        rows_out=len(rows),
        inputs=inputs,
        outputs={SKEW_TABLE.name: version},
        metrics={"skewed_columns": float(len({c.name for skew in skews for c in skew.of("skew")}))},
        values=_values(skews),
        seconds={"check": round(time.monotonic() - began, 3)},
    )


def _served(spec: JobSpec, use_case: UseCase) -> list[ServedNight]:
    """The nights to look at that were scored, oldest first."""
    table = use_case.score_table.name
    if not delta.table_exists(spec.lake, table):
        return []
    nights = [spec.last_night - timedelta(days=days) for days in NIGHTS_BEFORE]
    columns = ["ds", "features_version", "dag_run_id"]
    found = delta.read_nights(spec.lake, table, nights, columns).group_by(columns).aggregate([]).to_pylist()
    by_night = {  # publishing replaces a night whole, so that all its rows say the same
        row["ds"]: ServedNight(night=row["ds"], features_version=row["features_version"], run_id=row["dag_run_id"])
        for row in found
    }
    return [by_night[night] for night in sorted(by_night)]


def _values(skews: Sequence[NightSkew]) -> dict[str, Any]:
    """The verdict on all nights together, and the columns behind it."""
    columns = {
        verdict: sorted({column.name for skew in skews for column in skew.of(verdict)})
        for verdict in ("skew", "history_changed")
    }
    verdict = next((name for name, found in columns.items() if found), "same" if skews else "not_judged")
    return {
        "verdict": verdict,
        "skewed_columns": columns["skew"],
        "changed_columns": columns["history_changed"],
        "checked_nights": [str(skew.night) for skew in skews],
    }


if __name__ == "__main__":
    main(run)
