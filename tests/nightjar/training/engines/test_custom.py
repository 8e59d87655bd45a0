"""A model of the use case's own: trained by its ``model.py``, scored as ONNX, held to the contract of all engines."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import replace
from pathlib import Path
from textwrap import dedent
from typing import Any

import numpy as np
import pytest
from tests.nightjar.training.engines.linear.rows import matrix_of, set_of, shard_of, signal_of
from tests.training_sets import context

from nightjar.declaration.engines import Boosting, Custom
from nightjar.declaration.problem import Binary, Multiclass, Problem, Regression
from nightjar.declaration.spaces import FloatRange
from nightjar.protocol.errors import ModelError, TrainingError
from nightjar.training.engines.custom.model import FILE, load
from nightjar.training.engines.fitted import Fitted
from nightjar.training.engines.registry import ENGINES

NUMBER = Regression(unit="min")
MODEL = """
import numpy as np
from onnx import TensorProto, helper, numpy_helper

from nightjar.problems.custom_rows import CustomRows


def fit(rows: CustomRows, ridge: float = 1.0):
    known = np.nan_to_num(rows.matrix.astype(np.float64))
    columns = np.hstack([known, np.ones((len(known), 1))])
    weighted = columns * rows.weights[:, None]
    weights = np.linalg.solve(columns.T @ weighted + ridge * np.eye(columns.shape[1]), weighted.T @ rows.labels)
    return linear(weights[:-1, None], weights[-1:])


def linear(weights, bias, nodes=(), output="sums"):
    constants = [("w", weights), ("b", bias), ("zero", np.zeros(1)), ("axes", np.array([1], np.int64))]
    first = [
        helper.make_node("IsNaN", ["rows"], ["missing"]),
        helper.make_node("Where", ["missing", "zero", "rows"], ["known"]),
        helper.make_node("Gemm", ["known", "w", "b"], ["columns"]),
        helper.make_node("Squeeze", ["columns", "axes"], ["sums"]),
    ]
    graph = helper.make_graph(
        [*first, *nodes],
        "linear",
        [helper.make_tensor_value_info("rows", TensorProto.FLOAT, ["n", len(weights)])],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, None)],
        [numpy_helper.from_array(v if v.dtype == np.int64 else v.astype(np.float32), n) for n, v in constants],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def two_columns(rows):
    one = helper.make_node("Unsqueeze", ["sums", "axes"], ["one"])
    two = helper.make_node("Concat", ["one", "one"], ["two"], axis=1)
    return linear(np.ones((rows.matrix.shape[1], 1)), np.zeros(1), [one, two], "two")


def mean_of_batch(rows):
    mean = helper.make_node("ReduceMean", ["sums"], ["mean"], axes=[0], keepdims=1)
    less = helper.make_node("Sub", ["sums", "mean"], ["less"])
    return linear(np.ones((rows.matrix.shape[1], 1)), np.zeros(1), [mean, less], "less")


def random(rows):
    noise = helper.make_node("RandomNormalLike", ["sums"], ["noise"])
    return linear(np.ones((rows.matrix.shape[1], 1)), np.zeros(1), [noise], "noise")


def divides(rows):
    return 1 // 0


def pickled(rows):
    return {"weights": [1.0]}


def infinite(rows):
    return linear(np.full((rows.matrix.shape[1], 1), np.inf), np.zeros(1))
"""


@pytest.fixture(autouse=True)
def model_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The use case's ``model.py``, importable under its name."""
    path = tmp_path / "model.py"
    path.write_text(dedent(MODEL))
    spec = importlib.util.spec_from_file_location("use_cases.test.model", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setitem(sys.modules, "use_cases.test.model", module)
    return path


def rows_of(problem: Problem = NUMBER, seed: int = 1) -> Any:
    """Numbers that follow the signal."""
    train, validation = (matrix_of(count, seed=number) for count, number in ((600, seed), (400, 2)))
    shards = [shard_of(problem, matrix, signal_of(matrix)) for matrix in (train, validation)]
    found = set_of(problem, 600)
    return context(*shards, replace(found, use_case="test"))


def fitted(engine: Custom, problem: Problem = NUMBER) -> Fitted:
    return ENGINES[engine.kind].fit(engine, rows_of(problem))


def test_the_function_s_model_is_a_member_that_predicts_and_loads_equal(model_file: Path) -> None:
    trained = fitted(Custom(params={"ridge": 0.1}))
    matrix = matrix_of(300, seed=7)
    outputs = trained.member.predict(matrix, threads=2)
    assert np.corrcoef(outputs, signal_of(matrix))[0, 1] > 0.7
    assert load(trained.member.content()).predict(matrix, threads=1).tolist() == outputs.tolist()
    assert trained.member.predict(matrix[5:6], threads=1)[0] == outputs[5], "a row by itself"
    assert trained.card.validation_score == trained.history[0]
    assert trained.card.params["ridge"] == 0.1
    before = trained.card.params["code_sha256"]
    model_file.write_text(model_file.read_text() + "\n# changed\n")
    assert fitted(Custom()).card.params["code_sha256"] != before, "the card tells which code trained it"


@pytest.mark.parametrize(
    ("function", "what", "where"),
    [
        ("fitt", "has no function fitt", "model.py, fitt"),
        ("divides", "ZeroDivisionError: integer division", "model.py, divides, line "),
        ("pickled", "returns dict, not an ONNX model", "model.py, pickled"),
        ("two_columns", r"has the shape \(400, 2\) for 400 rows, not \(400,\)", "model.py, two_columns"),
        ("mean_of_batch", "400 of 400 rows have other predictions when other rows", "model.py, mean_of_batch"),
        ("random", "holds the operation 'RandomNormalLike'", "model.py, random"),
        ("infinite", "of 400 of 400 rows", "model.py, infinite"),
    ],
)
def test_what_breaks_the_contract_is_an_error_that_says_where(function: str, what: str, where: str) -> None:
    with pytest.raises(TrainingError, match=what) as caught:
        fitted(Custom(function=function))
    assert where in caught.value.where
    assert caught.value.fix


def test_without_a_model_file_the_error_says_what_to_write(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "use_cases.test.model")
    with pytest.raises(TrainingError, match="has no function fit") as caught:
        fitted(Custom())
    assert "def fit(rows: CustomRows" in caught.value.fix


@pytest.mark.parametrize(
    ("problem", "what"),
    [
        (Multiclass(classes=("low", "middle", "high")), r"not \(400, 3\)"),
        (Binary(), "of .* of 400 rows the predictions are outside 0 to 1"),
    ],
    ids=lambda value: getattr(value, "kind", ""),
)
def test_outputs_are_those_of_the_problem_type(problem: Problem, what: str) -> None:
    rows = replace(rows_of(NUMBER), training_set=set_of(problem, 600))
    with pytest.raises(TrainingError, match=what):
        ENGINES["custom"].fit(Custom(), rows)


def test_a_graph_with_another_input_is_refused_when_it_is_loaded() -> None:
    graph = fitted(Custom()).member.content()[FILE].replace(b"rows", b"cows")
    with pytest.raises(ModelError, match="has the inputs cows"):
        load({FILE: graph})


def test_params_can_be_searched_and_are_those_of_the_function() -> None:
    engine = Custom(params={"ridge": 1.0}, space={"ridge": FloatRange(0.01, 10.0, log=True)})
    assert engine.with_params({"ridge": 0.5}).params == {"ridge": 0.5}
    assert Boosting.is_distributed
    assert not engine.is_distributed
    with pytest.raises(TrainingError, match="unexpected keyword argument 'depth'"):
        fitted(Custom(params={"depth": 3}))
