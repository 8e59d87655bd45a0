"""Assignment to variants: stable, with the declared shares, and equal in SQL."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import date, timedelta

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare
from tests.nightjar.declaration.test_experiment import EXPERIMENT

from nightjar.scoring.split import assign, parts, splitting
from use_cases.flight_delay.use_case import USE_CASE

KEY = USE_CASE.key
NIGHT = date(2013, 4, 1)
THREE = replace(EXPERIMENT, variants={"champion": 0.5, "challenger": 0.3, "bold": 0.2})


def flights(count: int, day: date = NIGHT, first: int = 0) -> pa.RecordBatch:
    numbers = np.arange(first, first + count, dtype=np.int32)
    columns = {"flight_date": pa.array([day] * count, pa.date32()), "carrier": ["UA"] * count}
    return pa.RecordBatch.from_pydict({**columns, "flight": numbers, "origin": ["EWR"] * count})


ALWAYS = [0, 0, 0, 0, 0, 1, 0, 0, 1, 0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0]


def test_assignment_of_known_flights_does_not_change() -> None:
    batch = flights(20)
    assert assign(batch, EXPERIMENT, KEY).tolist() == ALWAYS
    assert assign(batch, replace(EXPERIMENT, name="another"), KEY).tolist() != ALWAYS


def test_sql_gives_the_same_assignment() -> None:
    batch = pa.Table.from_batches([flights(5000)])
    ours = np.array(list(THREE.variants))[assign(batch.to_batches()[0], THREE, KEY)].tolist()
    theirs = duckdb.sql(
        """
        WITH placed AS (
            SELECT flight, ('0x' || substr(sha256(
                concat_ws(chr(31), 'gentler', flight_date, carrier, flight, origin)
            ), 1, 8))::BIGINT / 4294967296 AS place FROM batch
        )
        SELECT CASE WHEN place < 0.5 THEN 'champion' WHEN place < 0.8 THEN 'challenger' ELSE 'bold' END AS variant
        FROM placed ORDER BY flight
        """
    ).fetchall()
    assert [variant for (variant,) in theirs] == ours


def test_units_are_split_as_declared_and_each_experiment_by_itself() -> None:
    batch = flights(100_000)
    first, second = (assign(batch, replace(THREE, name=name), KEY) for name in ("first", "second"))
    shares = np.array(list(THREE.variants.values()))
    for assigned in (first, second):
        assert chisquare(np.bincount(assigned), shares * len(assigned)).pvalue > 0.001
    together = np.bincount(first * 3 + second)
    assert chisquare(together, np.outer(shares, shares).ravel() * len(first)).pvalue > 0.001


@given(count=st.integers(1, 300), cut=st.integers(0, 300), seed=st.integers(0, 9))
def test_a_unit_s_variant_does_not_depend_on_the_rows_beside_it(count: int, cut: int, seed: int) -> None:
    batch = flights(count)
    shuffled = np.random.default_rng(seed).permutation(count)
    whole = assign(batch, THREE, KEY)
    assert assign(batch.take(pa.array(shuffled)), THREE, KEY).tolist() == whole[shuffled].tolist()
    pieces = [assign(piece, THREE, KEY) for piece in (batch[:cut], batch[cut:]) if piece.num_rows]
    assert np.concatenate(pieces).tolist() == whole.tolist()


def test_a_unit_of_a_part_of_the_key_keeps_its_variant_on_every_night() -> None:
    stable = replace(THREE, unit=("carrier", "flight", "origin"))
    nights = [assign(flights(500, NIGHT + timedelta(days=i)), stable, KEY).tolist() for i in range(5)]
    assert nights == [nights[0]] * 5
    by_key = [assign(flights(500, NIGHT + timedelta(days=i)), THREE, KEY).tolist() for i in range(2)]
    assert by_key[0] != by_key[1]


def test_the_parts_are_the_batch() -> None:
    batch = flights(1000)
    found = dict(parts(batch, THREE, KEY))
    assert set(found) == set(THREE.variants)
    rows = Counter(row["flight"] for part in found.values() for row in part.to_pylist())
    assert rows == Counter(range(1000))
    assert [part.num_rows for _, part in parts(flights(1), THREE, KEY)] == [1]


@pytest.mark.parametrize(("night", "split"), [(NIGHT - timedelta(days=1), False), (NIGHT, True)])
def test_nights_before_the_first_one_are_not_split(night: date, split: bool) -> None:
    declared = replace(USE_CASE, scoring=replace(USE_CASE.scoring, experiment=THREE))
    assert (splitting(declared, night) is THREE) is split
    assert splitting(USE_CASE, night) is None
