"""Malicious or corrupt model files are refused with one error before an engine reads them."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper
from tests.nightjar.training.test_model import CARD, FEATURES

from nightjar.protocol.errors import ModelError
from nightjar.protocol.names import check_sha256
from nightjar.training.engines.boosting import model as boosted
from nightjar.training.engines.boosting.model import BoostedTrees
from nightjar.training.engines.libraries import import_xgboost
from nightjar.training.engines.network import model as network
from nightjar.training.engines.network.graph import member_of
from nightjar.training.model import CARD_FILE, SUMS_FILE, TabularModel, save

OUTPUT = network.Output(link="logistic")


def member() -> network.Network:
    """A network of one number and one unit, with weights of 1."""
    architecture = network.Architecture(
        values=(None,), widths=(0,), means=(0.0,), scales=(1.0,), hidden=(1,), output=OUTPUT
    )
    shapes = {"hidden.0.weight": (1, 2), "hidden.0.bias": (1,), "norms.0.weight": (1,), "norms.0.bias": (1,)}
    shapes |= {"out.weight": (1, 1), "out.bias": (1,)}
    return member_of(architecture, {name: np.ones(shape, np.float32) for name, shape in shapes.items()})


def external(name: str, location: str) -> TensorProto:
    tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=[1], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value=location)
    return tensor


def graph(**parts: Any) -> Any:
    rows = helper.make_tensor_value_info("rows", TensorProto.FLOAT, ["n", 1])
    answer = helper.make_tensor_value_info("answer", TensorProto.FLOAT, ["n", 1])
    nodes = parts.pop("nodes", [helper.make_node("Add", ["rows", "w"], ["answer"])])
    return helper.make_graph(nodes, "g", [rows], [answer], **parts)


def onnx_file(of_graph: Any, **more: Any) -> bytes:
    model = helper.make_model(of_graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8, **more)
    return bytes(model.SerializeToString())


CARD_OF_NETWORK = replace(CARD, members=(replace(CARD.members[0], name="network", kind="network"),))
WEIGHT = numpy_helper.from_array(np.ones(1, np.float32), "w")


def nested_external() -> bytes:
    """External data in the branch of an If."""
    branch = helper.make_graph(
        [helper.make_node("Add", ["rows", "v"], ["inner"])],
        "branch",
        [],
        [helper.make_tensor_value_info("inner", TensorProto.FLOAT, None)],
        [external("v", "/etc/passwd")],
    )
    chosen = helper.make_node("If", ["w"], ["answer"], then_branch=branch, else_branch=branch)
    return onnx_file(graph(nodes=[chosen], initializer=[WEIGHT]))


def nested_in_known_operation() -> bytes:
    node = helper.make_node("Add", ["rows", "w"], ["answer"], hidden=external("h", "weights.bin"))
    return onnx_file(graph(nodes=[node], initializer=[WEIGHT]))


def sparse() -> bytes:
    tensor = helper.make_sparse_tensor(
        external("w", "weights.bin"), numpy_helper.from_array(np.zeros(1, np.int64)), [1]
    )
    return onnx_file(graph(sparse_initializer=[tensor]))


def in_function() -> bytes:
    body = helper.make_node("Constant", [], ["y"], value=external("c", "weights.bin"))
    function = helper.make_function("other", "f", [], ["y"], [body], [helper.make_opsetid("", 17)])
    return onnx_file(graph(initializer=[WEIGHT]), functions=[function])


def two_graphs() -> bytes:
    """Protobuf merges a message that is there twice: the second part adds to the first."""
    return onnx_file(graph(initializer=[WEIGHT])) + onnx_file(graph(initializer=[external("x", "weights.bin")]))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (onnx_file(graph(initializer=[external("w", "weights.bin")])), "names external data"),
        (onnx_file(graph(initializer=[external("w", "/etc/passwd")])), "names external data"),
        (onnx_file(graph(initializer=[external("w", "../../x")])), "names external data"),
        (nested_external(), "the operation 'If'"),
        (nested_in_known_operation(), "a tensor inside of an operation"),
        (sparse(), "sparse initializers"),
        (in_function(), "functions"),
        (two_graphs(), "names external data"),
        (onnx_file(graph(nodes=[helper.make_node("Evil", ["rows"], ["answer"], domain="x")])), "operation 'Evil'"),
        (b"\xff" * 100, "is not an ONNX file"),
        (b"", "holds no graph"),
    ],
)
def test_a_graph_that_holds_more_than_nightjar_writes_is_refused(
    data: bytes, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "weights.bin").write_bytes(np.ones(1, np.float32).tobytes())
    monkeypatch.chdir(tmp_path)  # where ONNX Runtime would look for it
    with pytest.raises(ModelError, match=message):
        network.load({**member().content(), network.GRAPH_FILE: data})


def test_a_graph_that_onnx_runtime_refuses_is_refused_when_it_is_loaded(tmp_path: Path) -> None:
    save(f"{tmp_path}/m", CARD_OF_NETWORK, [member()], "{}")
    replace_file(tmp_path / "m", network.GRAPH_FILE, onnx_file(graph(initializer=[])))
    with pytest.raises(ModelError, match="files cannot be loaded"):
        TabularModel.load(f"{tmp_path}/m")


def trees() -> bytes:
    xgb = import_xgboost()
    matrix, labels = np.random.default_rng(1).random((50, 2)).astype(np.float32), np.arange(50) % 2
    trained = xgb.train({"objective": "binary:logistic"}, xgb.DMatrix(matrix, labels), 3)
    return BoostedTrees(trained).content()[boosted.FILE]


def key(name: bytes) -> bytes:
    return b"L" + len(name).to_bytes(8, "big") + name


def length(count: int) -> bytes:
    return b"L" + count.to_bytes(8, "big", signed=True)


@pytest.mark.parametrize(
    ("forge", "message"),
    [
        (lambda data: data[: len(data) // 2], "bytes exceeds the file"),
        (lambda data: data[:-1], "is not the type of a length|exceeds the file"),
        (lambda data: data + b"}", "data follows its end"),
        (lambda data: b"", "exceeds the file"),
        (lambda data: b"[" * 1_000_000, "it is not an object"),
        (lambda data: b"{" + key(b"a") + b"[" * 1_000_000, "nested more than 32 deep"),
        (lambda data: b"{" + (key(b"a") + b"{") * 1_000_000, "nested more than 32 deep"),
        (lambda data: b"{" + key(b"a") + b"[$d#" + length(1 << 50) + b"}", "exceeds the file"),
        (lambda data: b"{" + key(b"a") + b"[$d#" + length(-1) + b"}", "a length is -4"),
        (lambda data: b"{" + length(1 << 60) + b"a}", "exceeds the file"),
        (lambda data: b"{" + key(b"a") + b"[$[#" + length(9) + b"}", "not one of numbers"),
        (lambda data: b"{" + key(b"a") + b"x}", "is not a type"),
        (lambda data: b"{}", "files cannot be loaded"),
    ],
)
def test_incomplete_trees_are_refused(forge: Callable[[bytes], bytes], message: str, tmp_path: Path) -> None:
    data = trees()
    whole = BoostedTrees(import_xgboost().Booster(model_file=bytearray(data)))
    save(f"{tmp_path}/m", CARD, [whole], "{}")
    replace_file(tmp_path / "m", boosted.FILE, forge(data))
    with pytest.raises(ModelError, match=message):
        TabularModel.load(f"{tmp_path}/m")


def replace_file(folder: Path, name: str, data: bytes) -> None:
    """Put other bytes into a model's file, and their sum into its sums."""
    (folder / name).write_bytes(data)
    sums = [f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}\n" for file in sorted(folder.iterdir())
            if file.name != SUMS_FILE]  # fmt: skip
    (folder / SUMS_FILE).write_text("".join(sums))


def card_with(**changes: Any) -> bytes:
    return json.dumps({**json.loads(CARD.to_json()), **changes}).encode()


@pytest.mark.parametrize(
    ("card", "message"),
    [
        (b"[" * 200_000, "RecursionError"),
        (b'{"format": 4}', "ModelCard.use_case: Field required"),
        (b"\xff\xfe", "UnicodeDecodeError"),
        (b"null", "a JSON object is expected"),
        (b'{"format": 4, ', "JSONDecodeError"),
        (card_with(members=[]), "it has no members"),
        (card_with(members=[{"kind": "../x"}]), "ModelCard.members.0.name: Field required"),
        (card_with(categories=3), "ModelCard.categories: Input should be an object, not 3"),
        (card_with(calibrator={"method": "platt", "slope": "x"}), None),
        (card_with(categories={}), None),
    ],
)
def test_invalid_card_is_a_model_error(card: bytes, message: str | None, tmp_path: Path) -> None:
    import pyarrow as pa

    save(f"{tmp_path}/m", CARD, [BoostedTrees(import_xgboost().Booster(model_file=bytearray(trees())))], "{}")
    replace_file(tmp_path / "m", CARD_FILE, card)
    columns = {"numeric": pa.float64(), "categorical": pa.string()}
    with pytest.raises(ModelError, match=message):
        TabularModel.load(f"{tmp_path}/m").check(pa.schema([(f.name, columns[f.kind]) for f in FEATURES]), CARD.problem)


@pytest.mark.parametrize(
    "line",
    [
        "{digest}  ../x", "{digest}  /etc/passwd", "{digest}  .hidden", "{digest}  ", "{digest}  a/b", "{digest}",
        "{digest}  a\\b", "{digest}  a\x00b", "{digest}  \x1b[2J", f"{{digest}}  {SUMS_FILE}", "{digest} model.json",
    ],
)  # fmt: skip
def test_sums_with_an_invalid_file_name_are_refused(line: str, tmp_path: Path) -> None:
    save(f"{tmp_path}/m", CARD, [BoostedTrees(import_xgboost().Booster(model_file=bytearray(trees())))], "{}")
    sums = (tmp_path / "m" / SUMS_FILE).read_text()
    (tmp_path / "m" / SUMS_FILE).write_text(sums + line.format(digest="0" * 64) + "\n")
    with pytest.raises(ModelError, match="has an invalid line"):
        TabularModel.load(f"{tmp_path}/m")


@pytest.mark.parametrize(
    "value", ["", "../../x", "0" * 63, "0" * 65, "A" * 64, "0" * 64 + "\n", "0" * 63 + "/", "０" * 64, None, 7]
)
def test_a_checksum_is_64_hexadecimal_digits_or_refused(value: object) -> None:
    with pytest.raises(ModelError, match="not 64 digits"):
        check_sha256(value, of="version 7", where="registry")
    assert check_sha256(hashlib.sha256(os.urandom(8)).hexdigest(), of="x", where="y")
