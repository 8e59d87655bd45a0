"""Scoring a unit writes scores, rejected rows and shadow scores in one pass; errors of the shadow are contained."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from tests.nightjar.scoring.test_batches import NIGHT, ROWS, USE_CASE, batch, model, raw_answers, refuses_from

from nightjar.declaration.experiment import CHAMPION
from nightjar.lake import delta
from nightjar.lake.lake import Lake
from nightjar.lake.parquet import write_files
from nightjar.lake.scan import scan
from nightjar.registry.cache import load_from_lake
from nightjar.scoring import unit
from nightjar.scoring.task import Scored, ScoringModel, ScoringTask
from nightjar.scoring.unit import load_model, score_unit
from nightjar.training.model import TabularModel

FEATURES = USE_CASE.feature_table


def score(lake: Lake, shadow: str = "") -> Scored:
    """Score one unit of ``ROWS`` rows; ``shadow`` is a model folder."""
    rows = batch()
    folder = f"{lake}/models/x"
    saved = model(folder, rows, None)
    schema = delta.arrow_schema(FEATURES)
    written = write_files(iter([rows]), lake.table(FEATURES).uri, schema, ("ds",))
    lake.table(FEATURES).commit(written, [NIGHT], run_id="r")
    scoring_model = ScoringModel(name="flight_delay", version="1", sha256=saved.sha256, folder=folder)
    task = ScoringTask(
        use_case=USE_CASE.name, lake=lake, scoring_models={CHAMPION: scoring_model}, features_version=1,
        run_id="r", first_night=NIGHT, last_night=NIGHT,
        shadow=replace(scoring_model, version="2", folder=shadow) if shadow else None,
    )  # fmt: skip
    table = lake.table(FEATURES).open()
    found = scan(table, lake.table(FEATURES).uri, {})
    (only,) = found.units
    return score_unit(only, reader=found.reader, task=task)


def files_in(lake: Lake, table: str) -> list[Path]:
    return list(Path(lake.uri, table).glob("ds=*/*.parquet"))


def test_scores_and_rejected_rows_are_files_that_no_table_holds_yet(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses_three(folder: str, sha256: str) -> TabularModel:
        loaded = load_from_lake(folder, sha256)
        bound = float(np.sort(raw_answers(loaded, batch()))[-3])
        return replace(loaded, card=replace(loaded.card, calibrator=refuses_from(bound)))

    monkeypatch.setattr(unit, "load_model", refuses_three)
    scored = score(lake)
    refused = scored.rows_rejected
    assert 3 <= refused < 30, "the model gives some rows the same answer"
    assert (scored.rows_in, scored.rows_out) == (ROWS, ROWS - refused)
    assert scored.peak_memory > 10 << 20
    assert not lake.table(USE_CASE.score_table).exists()
    lake.table(USE_CASE.quarantine_table).commit(scored.quarantined, [NIGHT], run_id="r")
    rules = lake.table(USE_CASE.quarantine_table).read_nights([NIGHT])["rules"].to_pylist()
    assert rules == [["prediction_is_finite"]] * refused


def test_a_shadow_scores_the_same_rows(lake: Lake) -> None:
    scored = score(lake, shadow=f"{lake}/models/x")
    assert (scored.shadow_error, sum(file.rows for file in scored.shadow_files)) == ("", ROWS)
    lake.table(USE_CASE.shadow_table).commit(scored.shadow_files, [NIGHT], run_id="r")
    rows = lake.table(USE_CASE.shadow_table).read_nights([NIGHT]).to_pylist()
    assert {row["model_version"] for row in rows} == {"2"}


def test_a_shadow_that_cannot_be_loaded_leaves_the_night_alone(lake: Lake) -> None:
    scored = score(lake, shadow=f"{lake}/models/nothing")
    assert (scored.rows_out, scored.shadow_files) == (ROWS, ())
    assert "the model has no SHA256SUMS" in scored.shadow_error
    assert files_in(lake, USE_CASE.shadow_table.name) == []


def test_a_shadow_that_fails_half_way_leaves_no_file(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unit, "batch_rows", lambda columns: ROWS // 4)
    truth, calls = unit.score_batch, []

    def third_time_unlucky(rows: pa.RecordBatch, *rest: object, **more: object) -> object:
        calls.append(rest[1].version)  # type: ignore[attr-defined]
        if calls[-1] == "2" and calls.count("2") == 3:
            raise MemoryError("too large")
        return truth(rows, *rest, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(unit, "score_batch", third_time_unlucky)
    scored = score(lake, shadow=f"{lake}/models/x")
    assert calls.count("2") == 3
    assert (scored.rows_out, scored.shadow_files, scored.shadow_error) == (ROWS, (), "MemoryError: too large")
    assert files_in(lake, USE_CASE.shadow_table.name) == []


def test_shadow_that_failed_in_one_unit_has_no_files() -> None:
    broken = Scored(parts={}, shadow_error="gone")
    assert Scored.merge([Scored(parts={}), broken]).shadow_error == "gone"


def test_a_failing_night_leaves_no_file(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unit, "batch_rows", lambda columns: ROWS // 4)
    truth, calls = unit.score_batch, []

    def fails_later(*given: object, **more: object) -> object:
        calls.append(1)
        if len(calls) >= 3:  # at every try
            raise OSError("gone")
        return truth(*given, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(unit, "score_batch", fails_later)
    with pytest.raises(Exception, match="gone"):
        score(lake, shadow=f"{lake}/models/x")
    assert files_in(lake, USE_CASE.score_table.name) == files_in(lake, USE_CASE.shadow_table.name) == []


def test_a_model_is_loaded_once_a_process(lake: Lake) -> None:
    saved = model(f"{lake}/models/x", batch(), None)
    assert load_model(f"{lake}/models/x", saved.sha256) is load_model(f"{lake}/models/x", saved.sha256)
