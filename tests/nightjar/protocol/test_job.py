from __future__ import annotations

import re
from dataclasses import replace
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightjar.protocol.documents import dump_json, load_json
from nightjar.protocol.errors import ConfigurationError
from nightjar.protocol.job import JobResult, JobSpec
from nightjar.protocol.names import check_identifier, path_segment
from nightjar.protocol.results import parse_result

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
    assert load_json(JobSpec, dump_json(spec)) == spec
    assert load_json(JobSpec, dump_json(spec)).fingerprint == spec.fingerprint


@pytest.mark.parametrize("change", [{"run_id": "other"}, {"last_night": date(2013, 4, 3)}, {"params": {"force": True}}])
def test_the_fingerprint_distinguishes_specs(change: dict[str, Any]) -> None:
    assert replace(SPEC, **change).fingerprint != SPEC.fingerprint


def test_threads_do_not_change_the_fingerprint() -> None:
    assert replace(SPEC, threads_per_rank=8).fingerprint == SPEC.fingerprint


def test_a_task_has_a_folder_of_its_own_with_a_safe_name() -> None:
    assert (
        SPEC.output == "/lake/_runs/flight_delay_nightly/manual__2013-04-01T06-00-00-00-00~4c801fea11c2d98d47ce/score"
    )


@pytest.mark.parametrize("name", ["../etc", "Flight", "", "a b", "1st", "a" * 64, "x;drop"])
def test_a_program_or_use_case_must_be_a_name(name: str) -> None:
    with pytest.raises(ConfigurationError, match="is not a name"):
        replace(SPEC, use_case=name)
    with pytest.raises(ConfigurationError, match="is not a name"):
        check_identifier(name, field="program")


RUN_IDS = (
    "fix:1", "fix+1", "fix-1", "fix~1", "fix.1", "fix_1", "Fix-1", "FIX-1", "fix 1", "fix/1", "fix%3A1",
    "fix\n1", "fix-1\n", "fi\u0301x", "f\u00edx", "\ud800", "\udfff", ".", "..", "...", "", "-", "~",
    "a" * 120, "a" * 121, "a" * 250, "fix-1-", "-fix-1",
    "a" * 249 + "b", "fix-1~f58d718cffa087a89b89", "manual__2013-04-01T06:00:00+00:00",
    "manual__2013-04-01T06:00:00-00:00",
    "manual__2013-04-01t06:00:00+00:00", "manual__2013-04-01T06-00-00-00-00",
)  # fmt: skip


def test_run_ids_that_differ_have_folders_that_differ_whatever_the_file_system() -> None:
    folders = [replace(SPEC, run_id=run_id).run_dir for run_id in RUN_IDS]
    assert len({folder.casefold() for folder in folders}) == len(RUN_IDS)


@given(st.text(), st.text())
def test_a_path_segment_belongs_to_one_value_and_is_a_safe_name(value: str, other: str) -> None:
    segment = path_segment(value)
    assert re.fullmatch(r"[A-Za-z0-9_=.~-]{1,141}", segment)
    assert segment not in {".", ".."}
    assert (segment.casefold() == path_segment(other).casefold()) == (value == other)


@pytest.mark.parametrize(
    "value", ["night__2013-04-01", "history__2013-01-01__2013-03-31", "train", "flight_delay_nightly"]
)
def test_a_path_segment_of_an_ordinary_name_is_that_name(value: str) -> None:
    assert path_segment(value) == value


def test_instances_of_a_mapped_task_share_no_folder_with_another_task() -> None:
    mapped = replace(SPEC, task_id="tune", map_index=0)
    others = [replace(SPEC, task_id=task_id) for task_id in ("tune-0", "tune~0", "tune_0", "tune")]
    assert mapped.output not in [other.output for other in others]


def test_a_result_survives_json_and_ignores_what_a_later_release_adds() -> None:
    result = JobResult(status="succeeded", rows_in=3, rows_out=2, rows_rejected=1, outputs={"raw/flights": 4})
    assert parse_result(dump_json(result)) == result
    assert parse_result(dump_json(result).replace("{", '{"later": 1,', 1)) == result


def test_a_result_refuses_what_json_cannot_say() -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        dump_json(JobResult(metrics={"auc": float("nan")}))


def test_a_summary_counts_no_second_twice() -> None:
    result = JobResult(status="succeeded", seconds={"read": 1.5, "write": 0.5, "total": 2.1})
    assert result.summary().endswith("; 2.1 s")
