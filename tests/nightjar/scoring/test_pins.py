"""Pins of a run are read back, or refused with a fix."""

from __future__ import annotations

from datetime import date

import pytest

from nightjar.lake import files
from nightjar.lake.lake import Lake
from nightjar.lake.results import earlier_result
from nightjar.protocol.errors import GateError, ModelError
from nightjar.protocol.job import JobSpec
from nightjar.protocol.results import TrainResult
from nightjar.scoring import pins

NIGHT = date(2013, 4, 1)
SPOILT = ["", "{", "[]", "null", "7", '"x"', '{"versions": 1', "[" * 100_000, '{"feature_files": 3}', '{"other": 1}']


def spec(lake: Lake, **params: bool) -> JobSpec:
    return JobSpec(
        program="score", use_case="x", first_night=NIGHT, last_night=NIGHT, dag_id="d", run_id="r", task_id="score",
        lake=lake.uri, params=params,
    )  # fmt: skip


def test_pins_are_read_back(lake: Lake) -> None:
    assert pins.pinned(spec(lake)) is None
    written = pins.Pins(versions={"champion": "3"}, features_version=4, feature_files=("a", "b"), published=True)
    pins.write(spec(lake), written)
    assert pins.pinned(spec(lake)) == written


@pytest.mark.parametrize("text", SPOILT)
def test_corrupt_pins_are_refused_until_the_run_is_forced(lake: Lake, text: str) -> None:
    files.write_text(f"{spec(lake).run_dir}/pins.json", text)
    with pytest.raises(ModelError, match="cannot be read") as caught:
        pins.pinned(spec(lake))
    assert "force" in caught.value.fix
    assert pins.pinned(spec(lake, force=True)) is None


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "7", "[" * 100_000, '{"rows_in": 3}'])
def test_corrupt_result_names_its_task(lake: Lake, text: str) -> None:
    files.write_text(f"{spec(lake).run_dir}/train/result.json", text)
    with pytest.raises(GateError, match="the result cannot be read") as caught:
        earlier_result(spec(lake), TrainResult)
    assert caught.value.where.endswith("/train/result.json")
