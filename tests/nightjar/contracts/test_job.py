from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightjar.contracts.errors import ConfigurationError
from nightjar.contracts.job import JobResult, JobSpec
from nightjar.contracts.names import check_identifier, path_segment

SPEC = JobSpec(
    program="score",
    use_case="flight_delay",
    first_night=date(2013, 4, 1),
    last_night=date(2013, 4, 2),
    dag_id="flight_delay_nightly",
    run_id="manual__2013-04-01T06:00:00+00:00",
    task_id="score",
    lake="/lake",
    params={"model_version": None},
)
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(), lambda inner: st.lists(inner, max_size=3)
)


@given(st.dictionaries(st.text(min_size=1), JSON_VALUES, max_size=4), st.dates(), st.integers(1, 64))
def test_a_spec_survives_json(params: dict[str, Any], first: date, world_size: int) -> None:
    spec = replace(SPEC, params=params, first_night=first, world_size=world_size)
    assert JobSpec.from_json(spec.to_json()) == spec
    assert JobSpec.from_json(spec.to_json()).fingerprint == spec.fingerprint


@pytest.mark.parametrize("change", [{"run_id": "other"}, {"last_night": date(2013, 4, 3)}, {"params": {"force": True}}])
def test_the_fingerprint_tells_specs_apart(change: dict[str, Any]) -> None:
    assert replace(SPEC, **change).fingerprint != SPEC.fingerprint


def test_threads_say_where_a_task_runs_and_not_what_is_asked_for() -> None:
    assert replace(SPEC, threads_per_rank=8).fingerprint == SPEC.fingerprint


def test_a_task_has_a_folder_of_its_own_with_a_safe_name() -> None:
    assert SPEC.output == "/lake/_runs/flight_delay_nightly/manual__2013-04-01T06-00-00-00-00/score"


@pytest.mark.parametrize("name", ["../etc", "Flight", "", "a b", "1st", "a" * 64, "x;drop"])
def test_a_program_or_use_case_must_be_a_name(name: str) -> None:
    with pytest.raises(ConfigurationError, match="is not a name"):
        replace(SPEC, use_case=name)
    with pytest.raises(ConfigurationError, match="is not a name"):
        check_identifier(name, field="program")


@given(st.text(min_size=1))
def test_a_path_segment_never_climbs(value: str) -> None:
    try:
        segment = path_segment(value)
    except ConfigurationError:
        assert not value.strip(".")
        return
    assert "/" not in segment
    assert segment not in {"", ".", ".."}


def test_a_result_survives_json_and_ignores_what_a_later_release_adds() -> None:
    result = JobResult(status="succeeded", rows_in=3, rows_out=2, rows_rejected=1, outputs={"raw/flights": 4})
    assert JobResult.from_json(result.to_json()) == result
    assert JobResult.from_json(result.to_json().replace("{", '{"later": 1,', 1)) == result


def test_a_result_refuses_what_json_cannot_say() -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        JobResult(status="succeeded", metrics={"auc": float("nan")}).to_json()


def test_a_summary_counts_no_second_twice() -> None:
    result = JobResult(status="succeeded", seconds={"read": 1.5, "write": 0.5, "total": 2.1})
    assert result.summary().endswith("; 2.1 s")
