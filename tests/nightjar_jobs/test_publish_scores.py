"""Publishing: once for each attempt, only what was audited, and never back to an older attempt."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import pyarrow as pa
import pytest
from tests.program_results import neutral_result

from nightjar.declaration.experiment import CHAMPION
from nightjar.lake import delta, files, ledger
from nightjar.lake.lake import Lake
from nightjar.lake.parquet import write_files
from nightjar.protocol.documents import dump_json
from nightjar.protocol.errors import GateError
from nightjar.protocol.job import JobResult, JobSpec
from nightjar.protocol.results import PublishScoresResult, ValidateScoresResult, parse_result
from nightjar.protocol.scores import Part, ScoringModel
from nightjar_jobs.publish_scores import run
from use_cases.flight_delay.use_case import USE_CASE

SCORES = USE_CASE.score_table
NIGHT = date(2013, 4, 1)
SCORING_MODEL = ScoringModel(name="flight_delay", version="1", sha256="ab", folder="x")


def spec_of(lake: str, run_id: str) -> JobSpec:
    return JobSpec(
        program="publish_scores", use_case="flight_delay", first_night=NIGHT, last_night=NIGHT,
        dag_id="flight_delay_nightly", run_id=run_id, task_id="publish_scores", lake=lake,
    )  # fmt: skip


def row(prediction: float, run_id: str) -> dict[str, Any]:
    return {
        "ds": NIGHT, "flight_date": date(2013, 4, 2), "carrier": "UA", "flight": 1, "origin": "EWR", "dest": "IAH",
        "tailnum": None, "scheduled_departure": datetime(2013, 4, 2, 9, tzinfo=UTC), "prediction": prediction,
        "model_name": "flight_delay", "model_version": "1", "model_sha256": "ab", "features_version": 1,
        "dag_run_id": run_id, "scored_at": datetime(2013, 4, 2, 4, tzinfo=UTC), "fallback_reason": None,
    }  # fmt: skip


def scored_and_audited(lake: str, run_id: str, attempt: int, prediction: float) -> JobSpec:
    """What `score` and `validate_scores` leave for a night of one flight."""
    spec = spec_of(lake, run_id)
    schema = delta.arrow_schema(SCORES)
    batch = pa.RecordBatch.from_pylist([row(prediction, run_id)], schema=schema)
    written = write_files(iter([batch]), Lake(lake).table(SCORES).uri, schema, ("ds",))
    save(
        spec,
        "validate_scores",
        neutral_result(
            ValidateScoresResult,
            rows_out=1,
            inputs={USE_CASE.feature_table.name: 1},
            parts={CHAMPION: Part(scoring_model=SCORING_MODEL, files=tuple(written), rows_in=1)},
            attempt=attempt,
            feature_files=("a",),
        ),
    )
    return spec


def save(spec: JobSpec, task_id: str, result: JobResult) -> None:
    files.write_text(f"{spec.run_dir}/{task_id}/result.json", dump_json(result))


def published(lake: str) -> list[float]:
    predictions: list[float] = Lake(lake).table(SCORES).read_nights([NIGHT])["prediction"].to_pylist()
    return predictions


def publish(spec: JobSpec) -> PublishScoresResult:
    return run(spec)


def test_a_cleared_publication_commits_nothing_more(lake: str) -> None:
    spec = scored_and_audited(lake, "a", 1, 0.25)
    first, again = publish(spec), publish(spec)
    assert (first.committed, again.committed) == (True, False)
    assert first.outputs == again.outputs
    assert published(lake) == [0.25]
    assert len(ledger.read(Lake(lake), event="publish").to_pylist()) == 1


def test_a_later_attempt_replaces_and_the_older_does_not_come_back(lake: str) -> None:
    older, later = scored_and_audited(lake, "a", 1, 0.25), scored_and_audited(lake, "b", 2, 0.75)
    publish(older)
    publish(later)
    assert published(lake) == [0.75]
    with pytest.raises(GateError, match="a later attempt has published these nights"):
        publish(older)
    assert published(lake) == [0.75]


def test_only_what_was_audited_is_published(lake: str) -> None:
    spec = scored_and_audited(lake, "a", 1, 0.25)
    save(spec, "validate_scores", JobResult(status="failed", error="shifted"))
    with pytest.raises(GateError, match="`validate_scores` has failed: shifted"):
        publish(spec)
    with pytest.raises(GateError, match="`validate_scores` has left no result"):
        publish(replace(spec, run_id="never"))
    assert not Lake(lake).table(SCORES).exists()


def test_files_are_described_as_they_were_written(lake: str) -> None:
    spec = scored_and_audited(lake, "a", 1, 0.25)
    result = parse_result(files.read_text(f"{spec.run_dir}/validate_scores/result.json"))
    (file,) = result.parts[CHAMPION].files
    assert (file.rows, dict(file.partition)) == (1, {"ds": "2013-04-01"})


def test_the_same_scores_again_are_published_as_often_as_asked_and_change_nothing(lake: str) -> None:
    first = publish(scored_and_audited(lake, "a", 1, 0.25))
    spec = scored_and_audited(lake, "a", 2, 0.25)  # score was cleared, and gave the same rows
    again, once_more = publish(spec), publish(spec)
    assert first.outputs == again.outputs == once_more.outputs
    assert (again.committed, once_more.committed) == (False, False)
    assert published(lake) == [0.25]


def test_a_publication_that_died_before_the_ledger_is_recorded_by_the_next_try(
    lake: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = scored_and_audited(lake, "a", 1, 0.25)
    with monkeypatch.context() as patched:
        patched.setattr(ledger, "record", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            publish(spec)
    assert published(lake) == [0.25]
    publish(spec)
    publish(spec)
    assert [event["run_id"] for event in ledger.read(Lake(lake), event="publish").to_pylist()] == ["a"]


def test_the_shadow_is_published_beside_the_night_and_cannot_fail_it(lake: str) -> None:
    spec = scored_and_audited(lake, "a", 1, 0.25)
    shadow = USE_CASE.shadow_table
    schema = delta.arrow_schema(shadow)
    batch = pa.RecordBatch.from_pylist([row(0.5, "a")], schema=schema)
    written = write_files(iter([batch]), Lake(lake).table(shadow).uri, schema, ("ds",))
    result = parse_result(files.read_text(f"{spec.run_dir}/validate_scores/result.json"))
    save(spec, "validate_scores", replace(result, shadow_files=tuple(written)))
    first, again = publish(spec), publish(spec)
    assert first.outputs == again.outputs == {SCORES.name: 1, shadow.name: 1}
    assert Lake(lake).table(shadow).read_nights([NIGHT])["prediction"].to_pylist() == [0.5]

    later = scored_and_audited(lake, "b", 2, 0.75)
    lost = replace(written[0], path="ds=2013-04-01/gone.parquet")
    result = parse_result(files.read_text(f"{later.run_dir}/validate_scores/result.json"))
    save(later, "validate_scores", replace(result, shadow_files=(lost,)))
    outcome = publish(later)
    assert (outcome.status, published(lake)) == ("succeeded", [0.75])
    assert "does not exist" in outcome.shadow_error
    assert Lake(lake).table(shadow).read_nights([NIGHT])["prediction"].to_pylist() == [0.5]
