"""A model folder: the same after a round trip, refused when altered, and free of pickle."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from nightjar.declaration.features import Feature
from nightjar.declaration.problem import (
    Binary,
    Cost,
    CostMatrix,
    Multiclass,
    Problem,
    QuantileCost,
    Regression,
)
from nightjar.problems.binary.calibration import Calibrator
from nightjar.problems.calibrators import Calibrator as AnyCalibrator
from nightjar.problems.multiclass.calibration import Temperature
from nightjar.problems.regression.calibration import Offsets
from nightjar.protocol.errors import ModelError
from nightjar.training.data.encoding import encode
from nightjar.training.engines.boosting.model import FILE, BoostedTrees
from nightjar.training.engines.libraries import import_xgboost
from nightjar.training.engines.member import MemberCard
from nightjar.training.model import (
    CARD_FILE,
    PROFILE_FILE,
    SUMS_FILE,
    ModelCard,
    TabularModel,
    download,
    read_sums,
    save,
)

MODEL_FILES = (FILE, CARD_FILE, PROFILE_FILE)
FEATURES = (Feature("carrier", "categorical", "Carrier."), Feature("distance", "numeric", "Miles."))
CARD = ModelCard(
    use_case="flight_delay",
    features=FEATURES,
    categories={"carrier": ("AA", "B6", "DL", "UA")},
    label="late",
    prediction="probability",
    members=(
        MemberCard(
            name="boosting",
            kind="boosting",
            engine="xgboost 3",
            params={"max_depth": 3},
            rounds=12,
            validation_score=0.7,
        ),
    ),
    calibrator=Calibrator(),
    problem=Binary(cost=Cost(missed=4, false_alarm=1)),
    seed=1,
    world_size=1,
    validation_metric="auc",
    validation_score=0.7,
    tables={"features/flight_delay": 1},
)


@pytest.fixture(scope="module")
def rows() -> pa.Table:
    rng = np.random.default_rng(3)
    carriers = rng.choice(["AA", "B6", "DL", "UA", "ZZ"], 500)
    return pa.table({"distance": rng.normal(800, 300, 500), "carrier": carriers})


@pytest.fixture
def model(tmp_path: Path, rows: pa.Table) -> TabularModel:
    xgb = import_xgboost()
    rng = np.random.default_rng(4)
    labels = (rng.random(500) < 0.2 + 0.5 * (np.asarray(rows["distance"]) > 900)).astype(np.float32)
    matrix = encode(rows, FEATURES, CARD.categories)
    data = xgb.QuantileDMatrix(matrix, labels, feature_types=["c", "q"], enable_categorical=True)
    params = {"objective": "binary:logistic", "max_depth": 3, "nthread": 1, "seed": 1}
    return save(f"{tmp_path}/model", CARD, [BoostedTrees(xgb.train(params, data, 12))], '{"rows": 500}')


def test_a_loaded_model_predicts_the_same_to_the_bit(model: TabularModel, tmp_path: Path, rows: pa.Table) -> None:
    loaded = TabularModel.load(f"{tmp_path}/model", sha256=model.sha256)
    assert loaded.card == model.card
    assert loaded.profile == '{"rows": 500}'
    assert (loaded.predict(rows) == model.predict(rows)).all()


def test_prediction_of_a_row_is_independent_of_other_rows_and_threads(model: TabularModel, rows: pa.Table) -> None:
    whole = model.predict(rows)
    assert whole.dtype == np.float64
    assert ((whole > 0) & (whole < 1)).all()
    assert len(set(whole.tolist())) > 5
    assert (model.predict(rows, threads=3) == whole).all()
    alone = np.concatenate([model.predict(rows.slice(i, 1)) for i in range(50)])
    assert (alone == whole[:50]).all()
    assert (model.predict(rows.slice(17, 99)) == whole[17:116]).all()


def test_no_rows_give_no_predictions(model: TabularModel, rows: pa.Table) -> None:
    assert model.predict(rows.slice(0, 0)).shape == (0,)


@pytest.mark.parametrize("name", [*MODEL_FILES, SUMS_FILE])
def test_an_altered_file_is_refused_by_name(model: TabularModel, tmp_path: Path, name: str) -> None:
    path = tmp_path / "model" / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(ModelError, match="SHA-256 differs") as caught:
        TabularModel.load(f"{tmp_path}/model", sha256=model.sha256)
    assert "model/" in caught.value.where


@pytest.mark.parametrize("name", [*MODEL_FILES, SUMS_FILE])
def test_a_missing_file_is_refused_by_name(model: TabularModel, tmp_path: Path, name: str) -> None:
    (tmp_path / "model" / name).unlink()
    with pytest.raises(ModelError, match=f"the model has no {name}"):
        TabularModel.load(f"{tmp_path}/model")


def test_a_consistent_forgery_is_refused_by_the_expected_sum(model: TabularModel, tmp_path: Path) -> None:
    forged = save(f"{tmp_path}/model", CARD, model.members, '{"rows": 501}')
    assert forged.sha256 != model.sha256
    with pytest.raises(ModelError, match="SHA-256 differs"):
        TabularModel.load(f"{tmp_path}/model", sha256=model.sha256)


def test_another_format_is_refused(model: TabularModel) -> None:
    with pytest.raises(ModelError, match="format is 99"):
        ModelCard.from_json(model.card.to_json().replace('"format": 4', '"format": 99'))


def test_a_column_of_another_type_is_refused(model: TabularModel, rows: pa.Table) -> None:
    wrong = rows.set_column(0, "distance", rows["distance"].cast(pa.string()))
    with pytest.raises(ModelError, match="column distance is string"):
        model.check(wrong.schema, CARD.problem)


@pytest.mark.parametrize(
    ("problem", "message"),
    [
        (Regression(unit="min"), r"predicts prediction \(binary\), and .* asks for prediction \(regression\)"),
        (
            Multiclass(classes=("a", "b", "c")),
            r"predicts prediction \(binary\), and .* asks for prediction, p_a, p_b, p_c \(multiclass\)",
        ),
    ],
)
def test_a_model_of_another_problem_is_refused(
    model: TabularModel, rows: pa.Table, problem: Problem, message: str
) -> None:
    model.check(rows.schema, Binary())  # costs may differ
    with pytest.raises(ModelError, match=message):
        model.check(rows.schema, problem)


def test_a_model_of_other_classes_or_quantiles_is_refused(model: TabularModel, rows: pa.Table) -> None:
    def check(own: Problem, asked: Problem) -> None:
        replace(model, card=replace(model.card, problem=own)).check(rows.schema, asked)

    with pytest.raises(ModelError, match=r"predicts prediction, p_a, p_b, p_c .* asks for prediction, p_a, p_c, p_b"):
        check(Multiclass(classes=("a", "b", "c")), Multiclass(classes=("a", "c", "b")))
    band = Regression(unit="min", loss="quantile", quantiles=(0.1, 0.5))
    with pytest.raises(ModelError, match=r"predicts prediction, q10, q50 .* asks for prediction, q20, q50"):
        check(band, replace(band, quantiles=(0.2, 0.5)))


@pytest.mark.parametrize(
    ("problem", "calibrator"),
    [
        (Binary(cost=Cost(missed=4, false_alarm=1)), Calibrator(method="platt", slope=0.9, intercept=-0.2)),
        (
            Multiclass(classes=("a", "b", "c"), cost=CostMatrix(costs={"a": {"b": 2}})),
            Temperature(temperature=1.5),
        ),
        (Regression(unit="min", loss="tweedie", tweedie_power=1.3), Calibrator()),
        (
            Regression(unit="min", loss="quantile", quantiles=(0.1, 0.5), cost=QuantileCost(under=1, over=3)),
            Offsets(offsets=(-1.0, 0.5)),
        ),
    ],
)
def test_a_card_survives_json_with_its_problem_and_calibrator(problem: Problem, calibrator: AnyCalibrator) -> None:
    card = replace(CARD, problem=problem, calibrator=calibrator)
    assert ModelCard.from_json(card.to_json()) == card
    assert ModelCard.from_json(card.to_json()).to_json() == card.to_json()


def test_the_folder_holds_these_files_only_and_downloads_whole(model: TabularModel, tmp_path: Path) -> None:
    download(f"{tmp_path}/model", tmp_path / "copy")
    names = sorted(path.name for path in (tmp_path / "copy").iterdir())
    assert names == sorted([*MODEL_FILES, SUMS_FILE]) == sorted(path.name for path in (tmp_path / "model").iterdir())
    assert TabularModel.load(str(tmp_path / "copy")).sha256 == model.sha256


def test_importing_the_modules_imports_numpy_alone_of_what_is_heavy() -> None:
    code = (
        "import importlib, pkgutil, sys, nightjar.training, nightjar.registry, nightjar.evaluation\n"
        "for package in (nightjar.training, nightjar.registry, nightjar.evaluation):\n"
        "    for module in pkgutil.walk_packages(package.__path__, package.__name__ + '.'):\n"
        "        importlib.import_module(module.name)\n"
        "heavy = 'xgboost pyarrow pandas numpy mlflow sklearn scipy onnxruntime optuna torch'.split()\n"
        "print([module for module in heavy if module in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['numpy']"


def test_xgboost_is_imported_without_scikit_learn_which_stays_importable() -> None:
    code = (
        "import sys; from nightjar.training.engines.libraries import import_xgboost; xgb = import_xgboost(); "
        "assert 'sklearn' not in sys.modules; import sklearn; assert import_xgboost() is xgb; print(sklearn.__name__)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "sklearn"


def test_several_members_of_a_kind_have_files_of_their_own(model: TabularModel, tmp_path: Path, rows: pa.Table) -> None:
    (first,), (card,) = model.members, model.card.members
    second = BoostedTrees(first.booster[:3])  # type: ignore[attr-defined]
    cards = (replace(card, weight=0.25), replace(card, name="short", rounds=3, weight=0.75))
    save(f"{tmp_path}/two", replace(model.card, members=cards), (first, second), model.profile)
    loaded = TabularModel.load(f"{tmp_path}/two")
    assert {FILE, f"short-{FILE}"} < set(read_sums(f"{tmp_path}/two"))
    assert loaded.member("short").content() == second.content() != loaded.member("boosting").content()
    matrix = model.encode(rows)
    mixed = 0.25 * first.predict(matrix, threads=1) + 0.75 * second.predict(matrix, threads=1)
    np.testing.assert_allclose(loaded.predict(rows), loaded.card.calibrator.apply(mixed), rtol=1e-12)
