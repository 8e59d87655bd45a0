"""Thirty nights, run again in any order, leave the same tables to the byte."""

from __future__ import annotations

import json
import os
import random
from datetime import timedelta

import pytest
from tests.nightjar_jobs.nights import NIGHT, SCORES, Nights

from nightjar.lake.lake import Lake

pytestmark = [pytest.mark.e2e, pytest.mark.spark]
THIRTY = [NIGHT + timedelta(days=i) for i in range(30)]
SEED = int(os.environ.get("NIGHTJAR_TEST_SEED") or random.SystemRandom().randrange(10**6))


def dump(lake: str) -> bytes:
    """Every row of the scores as canonical JSON, in canonical order."""
    rows = Lake(lake).table(SCORES).open().to_pyarrow_table().to_pylist()
    return "\n".join(sorted(json.dumps(row, sort_keys=True, default=str) for row in rows)).encode()


def test_thirty_nights_backfilled_twice_are_the_same_bytes(nights: Nights, versions: list[str]) -> None:
    print(f"NIGHTJAR_TEST_SEED={SEED}")
    for night in THIRTY:
        nights.features(night, rows=20)
        assert nights.whole(night=night, run_id=f"backfill__{night}").status == "succeeded"
    before, version = dump(nights.lake), Lake(nights.lake).table(SCORES).open().version()
    assert len(before.splitlines()) == 20 * len(THIRTY)
    for night in random.Random(SEED).sample(THIRTY, len(THIRTY)):
        assert nights.whole(night=night, run_id=f"backfill__{night}").status == "succeeded"
    assert dump(nights.lake) == before
    assert Lake(nights.lake).table(SCORES).open().version() == version
