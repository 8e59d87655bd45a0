"""Ten nights, and two runs of one of them, through the night's programs at the same time."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta

import pytest
from tests.nightjar_jobs.nights import NIGHT, SCORES, Nights

from nightjar.lake import ledger
from nightjar.lake.lake import Lake
from nightjar.protocol.job import JobResult

pytestmark = [pytest.mark.e2e, pytest.mark.spark]
TEN = [NIGHT + timedelta(days=i) for i in range(10)]


def test_concurrent_runs_publish_each_night_once_and_completely(nights: Nights, versions: list[str]) -> None:
    for night in TEN:
        nights.features(night, rows=50)
    runs = [(night, "a") for night in TEN] + [(NIGHT, "b")]

    def one(run: tuple[date, str]) -> JobResult:
        return nights.whole(night=run[0], run_id=f"{run[1]}__{run[0]}")

    with ThreadPoolExecutor(len(runs)) as pool:
        results = dict(zip(runs, pool.map(one, runs), strict=True))
    # of the two runs of one night the earlier attempt may have been refused; nothing else may go wrong
    for (night, _), result in results.items():
        assert result.status == "succeeded" or (night == NIGHT and result.error_kind in {"gate", "conflict"}), result
    assert any(results[NIGHT, name].status == "succeeded" for name in "ab")
    rows = Lake(nights.lake).table(SCORES).open().to_pyarrow_table().to_pylist()
    assert Counter(row["ds"] for row in rows) == dict.fromkeys(TEN, 50)
    assert Counter((row["ds"], row["flight"]) for row in rows).most_common(1)[0][1] == 1
    assert len({row["dag_run_id"] for row in rows}) == len(TEN), "no night is of two runs"
    published = ledger.read(Lake(nights.lake), event="publish")["run_id"].to_pylist()
    assert sorted(published) == sorted(
        f"{name}__{night}" for (night, name), result in results.items() if result.status == "succeeded"
    )
