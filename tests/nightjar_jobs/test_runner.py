"""Every program ends with a result, and a failure with one line that says what to do."""

from __future__ import annotations

import logging
from datetime import date

import pytest
from tests.program_results import neutral_result

from nightjar.lake import files, ledger
from nightjar.lake.lake import Lake
from nightjar.lake.results import earlier_result, finished_result, task_result
from nightjar.protocol.errors import GateError, ModelError
from nightjar.protocol.job import JobResult, JobSpec
from nightjar.protocol.results import EvaluateResult, GateResult, parse_result
from nightjar.training.distributed.launch import EXIT_FAILED, EXIT_REPORTED
from nightjar_jobs.runner import run_rank


@pytest.fixture
def spec(lake: str) -> JobSpec:
    return JobSpec(
        program="gate",
        use_case="flight_delay",
        first_night=date(2013, 1, 1),
        last_night=date(2013, 1, 2),
        dag_id="flight_delay_training",
        run_id="r",
        task_id="gate",
        lake=lake,
    )


def _fail(spec: JobSpec) -> JobResult:
    raise ModelError("no champion", where="registry", fix="train")


def _break(spec: JobSpec) -> JobResult:
    raise ZeroDivisionError("by nothing")


def _result(spec: JobSpec) -> JobResult:
    return parse_result(files.read_text(f"{spec.output}/result.json"))


def test_a_success_is_written_with_its_fingerprint(spec: JobSpec) -> None:
    assert run_rank(lambda _: neutral_result(GateResult, rows_in=1, rows_out=1), spec, rank=0) == 0
    assert _result(spec).spec_fingerprint == spec.fingerprint
    assert finished_result(spec, GateResult) == _result(spec)


def test_failure_is_written_logged_last_and_recorded_in_the_ledger(
    spec: JobSpec, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        assert run_rank(_fail, spec, rank=0) == EXIT_REPORTED
    line = "no champion | where: registry | how many: 1 | do: train"
    assert caplog.messages[-1] == f"ERROR {line}"
    assert (_result(spec).error, _result(spec).error_kind) == (line, "model")
    assert ledger.read(Lake(spec.lake), event="failure")["reason"].to_pylist() == [line]
    assert finished_result(spec, JobResult) is None


def test_an_unexpected_error_says_its_type_and_line(spec: JobSpec) -> None:
    assert run_rank(_break, spec, rank=0) == EXIT_REPORTED
    assert _result(spec).error_kind == "unexpected"
    assert "ZeroDivisionError: by nothing" in _result(spec).error
    assert "test_runner.py:" in _result(spec).error


@pytest.mark.parametrize("program", [_fail, _break])
def test_another_rank_says_its_error_and_writes_nothing(spec: JobSpec, program: object) -> None:
    assert run_rank(program, spec, rank=1) == EXIT_FAILED  # type: ignore[arg-type]
    assert not files.exists(f"{spec.output}/result.json")


def test_a_result_of_another_spec_or_a_forced_run_is_not_taken(spec: JobSpec) -> None:
    from dataclasses import replace

    run_rank(lambda _: neutral_result(GateResult), spec, rank=0)
    assert finished_result(replace(spec, last_night=date(2013, 1, 3)), JobResult) is None
    assert finished_result(replace(spec, params={"force": True}), JobResult) is None


def test_an_earlier_task_must_have_succeeded(spec: JobSpec) -> None:
    with pytest.raises(GateError, match="`evaluate` has left no result"):
        earlier_result(spec, EvaluateResult)
    run_rank(_fail, spec, rank=0)
    with pytest.raises(GateError, match="`gate` has failed: no champion"):
        earlier_result(spec, GateResult)


def test_the_result_of_a_task_must_be_of_the_expected_class(spec: JobSpec) -> None:
    run_rank(lambda _: neutral_result(GateResult), spec, rank=0)
    assert task_result(spec.run_dir, "gate", GateResult) == _result(spec)
    with pytest.raises(GateError, match="the result of `gate` is one of gate"):
        task_result(spec.run_dir, "gate", EvaluateResult)
