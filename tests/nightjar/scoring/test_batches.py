"""Scored rows say whether to announce them, by the model's own threshold."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime

import numpy as np
import pyarrow as pa
import pytest

from nightjar.contracts.use_case import load_use_case
from nightjar.lake import delta
from nightjar.scoring.batches import ScoringTask, score_batches
from nightjar.training.boosted import BoostedTrees
from nightjar.training.calibration import Calibrator
from nightjar.training.encoding import encode
from nightjar.training.engine import import_xgboost
from nightjar.training.member import MemberCard
from nightjar.training.model import ModelCard, TabularModel, save

USE_CASE = load_use_case("flight_delay")
NIGHT = date(2013, 4, 1)
ROWS = 400
CARD = ModelCard(
    use_case=USE_CASE.name,
    features=USE_CASE.features,
    categories={feature.name: ("AA", "UA") for feature in USE_CASE.features if feature.kind == "categorical"},
    label="late",
    prediction="probability",
    members=(MemberCard(kind="boosting", engine="xgboost 3", params={}, rounds=8, validation_auc=0.7),),
    calibrator=Calibrator(method="platt", slope=0.9, intercept=-0.2),
    threshold=None,
    seed=1,
    world_size=1,
    validation_auc=0.7,
    tables={},
)


def batch() -> pa.RecordBatch:
    rng = np.random.default_rng(1)
    moment = datetime(2013, 4, 2, 12, tzinfo=UTC)
    made = {
        "string": lambda: rng.choice(["AA", "UA"], ROWS).tolist(),
        "int": lambda: list(range(ROWS)),
        "double": lambda: rng.normal(size=ROWS).tolist(),
        "date": lambda: [NIGHT] * ROWS,
        "timestamp": lambda: [moment] * ROWS,
    }
    schema = delta.arrow_schema(USE_CASE.feature_table)
    columns = [
        pa.array(made[c.type](), field.type) for c, field in zip(USE_CASE.feature_table.columns, schema, strict=True)
    ]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def model(folder: str, rows: pa.RecordBatch, threshold: float | None) -> TabularModel:
    xgb = import_xgboost()
    card = replace(CARD, threshold=threshold)
    labels = (np.arange(ROWS) % 3 == 0).astype(np.float32)
    data = xgb.DMatrix(encode(rows, card.features, card.categories), labels)
    params = {"objective": "binary:logistic", "max_depth": 3, "nthread": 1}
    return save(folder, card, [BoostedTrees(xgb.train(params, data, 8))], "{}")


@pytest.mark.parametrize("threshold", [0.3, None])
def test_a_row_is_announced_from_the_threshold_on(lake: str, threshold: float | None) -> None:
    rows = batch()
    saved = model(f"{lake}/models/x", rows, threshold)
    task = ScoringTask(
        use_case=USE_CASE.name, lake=lake, model_folder=f"{lake}/models/x", model_sha256=saved.sha256,
        model_name="flight_delay", model_version="1", features_version=0, run_id="r", first_night=NIGHT,
        last_night=NIGHT,
    )  # fmt: skip
    scored = score_batches(iter([rows]), task)
    delta.commit(lake, USE_CASE.score_table, scored.files, [NIGHT], run_id="r")
    written = delta.read_nights(lake, USE_CASE.score_table.name, [NIGHT]).to_pylist()
    assert len(written) == ROWS
    if threshold is None:
        assert {row["decision"] for row in written} == {None}
        return
    assert [row["decision"] for row in written] == [row["prediction"] >= threshold for row in written]
    assert {row["decision"] for row in written} == {True, False}
