"""Build the ONNX graph for scoring from a network's weights, node by node, so that equal weights give equal bytes.

Weights have torch's names: ``embeddings.<i>.weight`` (values + 1 x width; row 0 is for missing and unknown values),
``hidden.<i>.weight`` (outputs x inputs) and ``.bias``, ``norms.<i>.weight`` and ``.bias``, ``out.weight`` and
``.bias``. An 8-bit weight has one step size for each row, under its name with the suffix
:data:`STEP`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from nightjar.training.engines.network.model import Architecture, Network, Output
from nightjar.training.engines.onnx_graph import INPUT

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Weights = Mapping[str, NDArray[Any]]

REACH = 10.0
"""Standardized numbers are clipped to this range, to limit outliers and infinity."""
NORM_EPSILON = 1e-5
STEP = ".step"
_PREDICTION = "prediction"
_INVERSE_LINKS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "logistic": ("Sigmoid", {}),
    "softmax": ("Softmax", {"axis": 1}),
    "log": ("Exp", {}),
}
_OPSET, _IR = 17, 8  # from 2022: every later ONNX Runtime reads them


def member_of(architecture: Architecture, weights: Weights) -> Network:
    """Return the member with these weights."""
    from safetensors.numpy import save

    return Network(
        architecture=architecture, weights=save(dict(weights)), graph=_Graph(weights).prediction(architecture)
    )


def weights_of(network: Network) -> dict[str, NDArray[np.float32]]:
    """Return the weights of a member as float32, dequantized where they are 8-bit."""
    from safetensors.numpy import load

    stored = load(network.weights)
    return {
        name: array if array.dtype == np.float32 else array.astype(np.float32) * stored[f"{name}{STEP}"][:, None]
        for name, array in stored.items()
        if not name.endswith(STEP)
    }


class _Graph:
    """Builder of an ONNX graph; nodes are in the order of execution."""

    def __init__(self, weights: Weights) -> None:
        self._weights = weights
        self._nodes: list[Any] = []
        self._arrays: list[Any] = []

    def prediction(self, architecture: Architecture) -> bytes:
        """Return the serialized graph.

        Its input is :data:`nightjar.training.engines.onnx_graph.INPUT` (rows x features), its output
        ``prediction`` (rows, or rows x units).
        """
        from onnx import TensorProto, helper

        parts = self._embeddings(architecture.categorical)
        if architecture.numeric:
            parts += self._numbers(architecture)
        values = self._add("Concat", parts, axis=1)
        for layer in range(len(architecture.hidden)):
            values = self._linear(values, f"hidden.{layer}")
            norm = [self._weight(f"norms.{layer}.{part}") for part in ("weight", "bias")]
            values = self._add("LayerNormalization", [values, *norm], axis=-1, epsilon=NORM_EPSILON)
            values = self._add("Relu", [values])
        units = self._linear(values, "out")
        if architecture.output.units == 1:
            units = self._add("Squeeze", [units, self._constant(np.array([1]))])
        self._predict(units, architecture.output)
        rows = helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["rows", len(architecture.values)])
        units_shape: list[str | int | None] = [] if architecture.output.units == 1 else [architecture.output.units]
        output = helper.make_tensor_value_info(_PREDICTION, TensorProto.FLOAT, ["rows", *units_shape])
        graph = helper.make_graph(self._nodes, "network", [rows], [output], self._arrays)
        opsets = [helper.make_opsetid("", _OPSET)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=_IR, producer_name="nightjar")
        return bytes(model.SerializeToString(deterministic=True))

    def _predict(self, units: str, output: Output) -> None:
        """Add the node that gives the prediction."""
        from onnx import helper

        if output.scale != 1.0:
            units = self._add("Mul", [units, self._constant(np.float32(output.scale))])
        if output.center or output.link == "identity":
            units = self._add("Add", [units, self._constant(np.float32(output.center))])
        if output.link == "identity":  # the last node has the output's name
            self._nodes[-1].output[0] = _PREDICTION
            return
        operation, attributes = _INVERSE_LINKS[output.link]
        self._nodes.append(helper.make_node(operation, [units], [_PREDICTION], **attributes))

    def _embeddings(self, columns: Sequence[int]) -> list[str]:
        """Add the embedding of each category; NaN has position 0."""
        from onnx import TensorProto

        outputs = []
        for number, column in enumerate(columns):
            value = self._add("Gather", [INPUT, self._constant(np.array(column))], axis=1)
            following = self._add("Add", [value, self._constant(np.float32(1))])
            missing = self._add("IsNaN", [value])
            position = self._add("Where", [missing, self._constant(np.float32(0)), following])
            position = self._add("Cast", [position], to=TensorProto.INT64)
            name = f"embeddings.{number}.weight"
            row = self._add("Gather", [self._weight(name), position])
            if f"{name}{STEP}" in self._weights:
                step = self._constant(self._weights[f"{name}{STEP}"][:, None])
                row = self._add("Cast", [row], to=TensorProto.FLOAT)
                row = self._add("Mul", [row, self._add("Gather", [step, position])])
            outputs.append(row)
        return outputs

    def _numbers(self, architecture: Architecture) -> list[str]:
        """Add the standardized numbers and their missing indicators."""
        from onnx import TensorProto

        columns = architecture.numeric
        means, scales = (
            self._constant(np.array([statistic[column] for column in columns], np.float32))
            for statistic in (architecture.means, architecture.scales)
        )
        values = self._add("Gather", [INPUT, self._constant(np.array(columns))], axis=1)
        missing = self._add("IsNaN", [values])
        standard = self._add("Div", [self._add("Sub", [values, means]), scales])
        known = self._add("Where", [missing, self._constant(np.float32(0)), standard])
        low, high = (self._constant(np.float32(bound)) for bound in (-REACH, REACH))
        return [
            self._add("Clip", [known, low, high]),
            self._add("Cast", [missing], to=TensorProto.FLOAT),
        ]

    def _linear(self, values: str, name: str) -> str:
        """Add a linear layer: ``values`` times the weights, plus the bias."""
        weight, bias = f"{name}.weight", self._weight(f"{name}.bias")
        if f"{weight}{STEP}" not in self._weights:
            return self._add("Gemm", [values, self._weight(weight), bias], transB=1)
        return self._add("Add", [self._integer_product(values, weight), bias])

    def _integer_product(self, values: str, weight: str) -> str:
        """Add an integer product; each row of ``values`` has its own step size, so that rows are independent."""
        from onnx import TensorProto

        largest = self._add("ReduceMax", [self._add("Abs", [values])], axes=[1], keepdims=1)
        step = self._add("Div", [largest, self._constant(np.float32(127))])
        step = self._add("Max", [step, self._constant(np.float32(1e-30))])
        steps = self._add("Round", [self._add("Div", [values, step])])
        zero = self._constant(np.uint8(128))
        quantized = self._add(
            "Cast", [self._add("Add", [steps, self._constant(np.float32(128))])], to=TensorProto.UINT8
        )
        transposed = self._constant(np.ascontiguousarray(self._weights[weight].T))
        product = self._add("Cast", [self._add("MatMulInteger", [quantized, transposed, zero])], to=TensorProto.FLOAT)
        weight_step = self._constant(self._weights[f"{weight}{STEP}"])
        return self._add("Mul", [self._add("Mul", [product, step]), weight_step])

    def _weight(self, name: str) -> str:
        return self._constant(self._weights[name])

    def _constant(self, array: NDArray[Any] | np.generic) -> str:
        from onnx import numpy_helper

        name = f"constant_{len(self._arrays)}"
        self._arrays.append(numpy_helper.from_array(np.asarray(array), name))
        return name

    def _add(self, operation: str, inputs: Sequence[str], **attributes: Any) -> str:
        """Append a node and return the name of its output."""
        from onnx import helper

        name = f"value_{len(self._nodes)}"
        self._nodes.append(helper.make_node(operation, list(inputs), [name], **attributes))
        return name
