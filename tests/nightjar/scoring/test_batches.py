"""Predicting a batch: every row is scored or rejected, in order, with its origin, decision and reasons."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from tests.declarations import with_fields

from nightjar.declaration.experiment import CHAMPION
from nightjar.declaration.gate import Gate
from nightjar.declaration.problem import Binary, Cost, CostMatrix, Multiclass, Problem, Regression
from nightjar.declaration.quantiles import QuantileCost
from nightjar.declaration.scoring import Scoring
from nightjar.declaration.use_case import UseCase, load_use_case
from nightjar.lake import delta
from nightjar.lake.lake import Lake
from nightjar.problems.binary.calibration import Calibrator
from nightjar.problems.registry import problem_type
from nightjar.protocol.scores import ScoringModel
from nightjar.scoring.batches import BATCH_BYTES, BatchScores, batch_rows, score_batch
from nightjar.scoring.reasons import reason_columns
from nightjar.scoring.task import ScoringTask
from nightjar.training.data.encoding import encode
from nightjar.training.engines.boosting.model import BoostedTrees
from nightjar.training.engines.libraries import import_xgboost
from nightjar.training.engines.linear.constant import Constant
from nightjar.training.engines.member import MemberCard
from nightjar.training.model import ModelCard, TabularModel, save

USE_CASE = load_use_case("flight_delay")
NIGHT = date(2013, 4, 1)
ROWS = 400
CARD = ModelCard(
    use_case=USE_CASE.name,
    features=USE_CASE.features.columns,
    categories={feature.name: ("AA", "UA") for feature in USE_CASE.features.columns if feature.kind == "categorical"},
    label="late",
    prediction="probability",
    members=(
        MemberCard(name="boosting", kind="boosting", engine="xgboost 3", params={}, rounds=8, validation_score=0.7),
    ),
    calibrator=Calibrator(method="platt", slope=0.9, intercept=-0.2),
    problem=Binary(),
    seed=1,
    world_size=1,
    validation_metric="auc",
    validation_score=0.7,
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


def model(folder: str, rows: pa.RecordBatch, cost: Cost | None) -> TabularModel:
    xgb = import_xgboost()
    card = replace(CARD, problem=Binary(cost=cost))
    labels = (np.arange(ROWS) % 3 == 0).astype(np.float32)
    data = xgb.DMatrix(encode(rows, card.features, card.categories), labels)
    params = {"objective": "binary:logistic", "max_depth": 3, "nthread": 1}
    return save(folder, card, [BoostedTrees(xgb.train(params, data, 8))], "{}")


def scored(lake: Lake, saved: TabularModel, rows: pa.RecordBatch, use_case: UseCase = USE_CASE) -> BatchScores:
    scoring_model = ScoringModel(name="flight_delay", version="7", sha256=saved.sha256, folder=f"{lake}/models/x")
    task = ScoringTask(
        use_case=use_case.name, lake=lake, scoring_models={CHAMPION: scoring_model}, features_version=3,
        run_id="r", first_night=NIGHT, last_night=NIGHT,
    )  # fmt: skip
    return score_batch(rows, saved, scoring_model, use_case, task)


@pytest.mark.parametrize("cost", [Cost(missed=7, false_alarm=3), None])
def test_decision_is_true_at_or_above_the_threshold(lake: Lake, cost: Cost | None) -> None:
    rows = batch()
    said = scored(lake, model(f"{lake}/models/x", rows, cost), rows)
    written = said.scores.to_pylist()
    assert (len(written), said.rejected) == (ROWS, None)
    if cost is None:
        assert {row["decision"] for row in written} == {None}
        return
    assert [row["decision"] for row in written] == [row["prediction"] >= 0.3 for row in written]
    assert {row["decision"] for row in written} == {True, False}


def test_rows_keep_their_order_and_name_the_scoring_model(lake: Lake) -> None:
    rows = batch()
    saved = model(f"{lake}/models/x", rows, None)
    scores = scored(lake, saved, rows).scores
    assert scores.schema.equals(delta.arrow_schema(USE_CASE.score_table))
    assert scores["flight"].equals(rows["flight"])
    assert np.array_equal(scores["prediction"].to_numpy(), saved.predict(rows))
    said = {(r["model_version"], r["model_sha256"], r["features_version"], r["scored_at"]) for r in scores.to_pylist()}
    assert said == {("7", saved.sha256, 3, datetime(2013, 4, 2, 4, tzinfo=UTC))}  # New York's midnight


def refuses_from(answer: float) -> Calibrator:
    """A calibration that is NaN for predictions of at least ``answer``."""
    return Calibrator(method="isotonic", answers=(0.0, answer, 1.0), probabilities=(0.1, 0.2, float("nan")))


def raw_answers(saved: TabularModel, rows: pa.RecordBatch) -> NDArray[np.float64]:
    return saved.members[0].predict(saved.encode(rows), threads=1)


@given(place=st.integers(0, ROWS - 1))
@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_rows_in_are_rows_scored_and_rows_rejected(lake: Lake, place: int) -> None:
    rows = batch()
    plain = model(f"{lake}/models/x", rows, None)
    answers = raw_answers(plain, rows)
    bound = float(np.sort(answers)[place])
    said = scored(lake, replace(plain, card=replace(plain.card, calibrator=refuses_from(bound))), rows)
    refused = set(np.flatnonzero(answers >= bound).tolist())
    assert said.rejected is not None
    rejected = said.rejected.to_pylist()
    assert {json.loads(row["row_json"])["flight"] for row in rejected} == refused
    assert all(row["rules"] == ["prediction_is_finite"] for row in rejected)
    assert said.scores["flight"].to_pylist() == [flight for flight in range(ROWS) if flight not in refused]


@pytest.mark.parametrize("value", [np.inf, -np.inf, 1e39, -1e300, np.nan])
def test_a_number_that_float32_does_not_hold_is_scored_as_missing(lake: Lake, value: float) -> None:
    rows = batch()
    saved = model(f"{lake}/models/x", rows, None)
    place = rows.schema.get_field_index("distance")
    unknown, missing = (
        rows.set_column(place, rows.schema.field("distance"), pa.array([given, *rows["distance"].to_pylist()[1:]]))
        for given in (value, None)
    )
    said = scored(lake, saved, unknown)
    assert said.rejected is None
    assert said.scores["prediction"].equals(scored(lake, saved, missing).scores["prediction"])


CLASSES = Multiclass(classes=("early", "late", "lost"), cost=CostMatrix(costs={"lost": {"early": 9.0, "late": 9.0}}))
BAND = Regression(
    unit="min", loss="quantile", quantiles=(0.25, 0.5, 0.75), cost=QuantileCost(under=2.5 / 4, over=1.5 / 4)
)


def model_of(problem: Problem, rows: pa.RecordBatch) -> TabularModel:
    """A model of a few trees whose labels are flights' numbers, or their remainders as classes."""
    xgb = import_xgboost()
    numbers = np.arange(ROWS)
    labels = {"binary": numbers % 2, "multiclass": numbers % 3, "regression": numbers - 50.0}[problem.kind]
    data = xgb.DMatrix(encode(rows, CARD.features, CARD.categories), labels.astype(np.float32))
    params = {**problem_type(problem).boosting_params(), "max_depth": 3, "eta": 0.1, "nthread": 1}
    card = replace(CARD, problem=problem, calibrator=Calibrator())
    return TabularModel(card=card, members=(BoostedTrees(xgb.train(params, data, 8)),), profile="{}", sha256="a" * 64)


def use_case_of(problem: Problem) -> UseCase:
    return with_fields(USE_CASE, problem=problem, gate=Gate(), monitoring={"retraining": None})


def test_classes_are_scored_with_their_probabilities_and_the_decision_of_the_costs(lake: Lake) -> None:
    rows = batch()
    scores = scored(lake, model_of(CLASSES, rows), rows, use_case_of(CLASSES)).scores
    assert scores.schema.equals(delta.arrow_schema(use_case_of(CLASSES).score_table))
    probabilities = np.column_stack([scores[f"p_{name}"].to_numpy() for name in CLASSES.classes])
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-6)
    assert scores["prediction"].to_pylist() == [CLASSES.classes[place] for place in probabilities.argmax(axis=1)]
    assert set(scores["prediction"].to_pylist()) == set(CLASSES.classes)
    assert set(scores["decision"].to_pylist()) == {"lost"}  # only a lost one costs, so its decision is free


def test_numbers_are_scored_with_their_quantiles_and_the_one_to_act_on(lake: Lake) -> None:
    rows = batch()
    scores = scored(lake, model_of(BAND, rows), rows, use_case_of(BAND)).scores
    assert scores.schema.equals(delta.arrow_schema(use_case_of(BAND).score_table))
    low, median, high, decision = (scores[name].to_numpy() for name in ("q25", "q50", "q75", "decision"))
    assert scores["prediction"].equals(scores["q50"])
    assert ((low <= median) & (median <= high)).all()
    assert (low < high).any()
    np.testing.assert_allclose(decision, (median + high) / 2)  # the quantile 0.625


@pytest.mark.parametrize("problem", [CLASSES, BAND, Regression(unit="min")])
def test_a_row_with_one_output_that_is_not_finite_is_rejected(lake: Lake, problem: Problem) -> None:
    rows = batch()
    trees = model_of(problem, rows)
    outputs = trees.predict(rows)

    class Diverging:
        def predict(self, matrix: NDArray[np.float32], *, threads: int) -> NDArray[np.float64]:
            changed = outputs.copy()
            changed[(7,) if outputs.ndim == 1 else (7, 0)] = np.inf
            return changed

        def content(self) -> dict[str, bytes]:
            return {}

    said = scored(lake, replace(trees, members=(Diverging(),)), rows, use_case_of(problem))
    assert said.rejected is not None
    (rejected,) = said.rejected.to_pylist()
    assert json.loads(rejected["row_json"])["flight"] == 7
    assert said.scores["flight"].to_pylist() == [flight for flight in range(ROWS) if flight != 7]


@pytest.mark.parametrize("problem", [Binary(), CLASSES, BAND, Regression(unit="min")])
def test_no_rows_are_scored_as_no_rows(lake: Lake, problem: Problem) -> None:
    rows = batch()
    said = scored(lake, model_of(problem, rows), rows.slice(0, 0), use_case_of(problem))
    assert (said.scores.num_rows, said.rejected) == (0, None)
    assert said.scores.schema.equals(delta.arrow_schema(use_case_of(problem).score_table))


def test_reasons_are_the_strongest_contributions_which_add_up_to_the_margin(lake: Lake) -> None:
    rows = batch()
    count = len(USE_CASE.features.columns)
    explained = replace(USE_CASE, scoring=Scoring(reason_codes=count))
    saved = model(f"{lake}/models/x", rows, None)
    scores = scored(lake, saved, rows, explained).scores
    sizes = np.column_stack([scores[f"reason_{place}_contribution"].to_numpy() for place in range(1, count + 1)])
    assert (np.diff(np.abs(sizes), axis=1) <= 0).all()
    assert all(len({row[f"reason_{place}"] for place in range(1, count + 1)}) == count for row in scores.to_pylist())
    (member,) = saved.members
    assert isinstance(member, BoostedTrees)
    margin = member.booster.inplace_predict(saved.encode(rows), missing=np.nan, predict_type="margin")
    bias = margin - sizes.sum(axis=1)
    assert np.ptp(bias) < 1e-5  # what is left is the same in every row
    assert np.abs(sizes).max() > 0.01


def test_reasons_of_an_ensemble_are_the_weighted_means_of_its_members(lake: Lake) -> None:
    rows = batch()
    first = model(f"{lake}/models/x", rows, None)
    (card,), (trees,) = first.card.members, first.members
    fewer = BoostedTrees(trees.booster[:3])  # type: ignore[attr-defined]
    cards = (replace(card, weight=0.75), replace(card, name="short", weight=0.25))
    both = replace(first, card=replace(first.card, members=cards), members=(trees, fewer))
    matrix = both.encode(rows)
    columns = reason_columns(both, matrix, len(both.card.features))
    parts = [member.contributions(matrix, threads=1) for member in (trees, fewer)]  # type: ignore[attr-defined]
    expected = 0.75 * parts[0] + 0.25 * parts[1]
    names = [feature.name for feature in both.card.features]
    for place in range(1, len(names) + 1):
        for row, name in enumerate(columns[f"reason_{place}"].to_pylist()):
            size = columns[f"reason_{place}_contribution"][row].as_py()
            assert size == pytest.approx(expected[row, names.index(name)], rel=1e-6)
    without = replace(both, card=replace(both.card, members=(cards[0], replace(cards[1], weight=0.0))))
    assert reason_columns(without, matrix, 1)["reason_1"].null_count == 0, "a member without weight does not count"


def test_a_model_without_trees_gives_no_reasons(lake: Lake) -> None:
    rows = batch()
    explained = replace(USE_CASE, scoring=Scoring(reason_codes=2))
    saved = model(f"{lake}/models/x", rows, None)
    shares = Constant(outputs=0.5)
    cards = (*saved.card.members, shares.card(0.0))
    two = replace(saved, card=replace(saved.card, members=cards), members=(*saved.members, shares))
    scores = scored(lake, two, rows, explained).scores
    assert {row["reason_1"] for row in scores.to_pylist()} == {None}


def test_a_batch_has_fewer_rows_the_wider_the_table_is() -> None:
    assert batch_rows(100) == BATCH_BYTES // (24 * 100)
    assert batch_rows(1) == 1 << 17
    assert batch_rows(10**6) == 1 << 10
