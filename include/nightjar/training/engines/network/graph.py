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

from nightjar.training.engines.network.model import Architecture, Network
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

    return Network(architecture=architecture, weights=save(dict(weights)), graph=_graph_of(architecture, weights))


def _graph_of(architecture: Architecture, weights: Weights) -> bytes:
    """Return the serialized graph, whose output has rows, or rows x units."""
    builder, output = GraphBuilder(weights), architecture.output
    units = builder.add_layers(architecture)
    if output.units == 1:
        units = builder.add("Squeeze", [units, builder.constant(np.array([1]))])
    if output.scale != 1.0:
        units = builder.add("Mul", [units, builder.constant(np.float32(output.scale))])
    if output.center or output.link == "identity":
        units = builder.add("Add", [units, builder.constant(np.float32(output.center))])
    if output.link != "identity":
        operation, attributes = _INVERSE_LINKS[output.link]
        builder.add(operation, [units], **attributes)
    return builder.serialize("network", columns=len(architecture.values), units=output.units)


def weights_of(network: Network) -> dict[str, NDArray[np.float32]]:
    """Return the weights of a member as float32, dequantized where they are 8-bit."""
    from safetensors.numpy import load

    stored = load(network.weights)
    return {
        name: array if array.dtype == np.float32 else array.astype(np.float32) * stored[f"{name}{STEP}"][:, None]
        for name, array in stored.items()
        if not name.endswith(STEP)
    }


class GraphBuilder:
    """Builder of an ONNX graph; nodes are in the order of execution.

    Args:
        weights: Weights by torch's names.
    """

    def __init__(self, weights: Weights) -> None:
        self._weights = weights
        self._nodes: list[Any] = []
        self._arrays: list[Any] = []

    def add_layers(self, architecture: Architecture, rows: str = INPUT, prefix: str = "") -> str:
        """Add a network up to its last layer, and return the name of that (rows x units).

        Args:
            architecture: Its layers.
            rows: Name of the encoded rows (rows x columns of the architecture).
            prefix: Prefix of the names of its weights.
        """
        parts = self._embeddings(architecture.categorical, rows, prefix)
        if architecture.numeric:
            parts += self._numbers(architecture, rows)
        values = self.add("Concat", parts, axis=1)
        for layer in range(len(architecture.hidden)):
            values = self._linear(values, f"{prefix}hidden.{layer}")
            norm = [self._weight(f"{prefix}norms.{layer}.{part}") for part in ("weight", "bias")]
            values = self.add("LayerNormalization", [values, *norm], axis=-1, epsilon=NORM_EPSILON)
            values = self.add("Relu", [values])
        return self._linear(values, f"{prefix}out")

    def serialize(self, name: str, *, columns: int, units: int) -> bytes:
        """Return the serialized graph, whose output ``prediction`` is that of the last node.

        Its input is :data:`nightjar.training.engines.onnx_graph.INPUT` (rows x ``columns``); its output has rows, or
        rows x ``units`` when there are several.
        """
        from onnx import TensorProto, helper

        self._nodes[-1].output[0] = _PREDICTION
        rows = helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["rows", columns])
        units_shape: list[str | int | None] = [] if units == 1 else [units]
        output = helper.make_tensor_value_info(_PREDICTION, TensorProto.FLOAT, ["rows", *units_shape])
        graph = helper.make_graph(self._nodes, name, [rows], [output], self._arrays)
        opsets = [helper.make_opsetid("", _OPSET)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=_IR, producer_name="nightjar")
        return bytes(model.SerializeToString(deterministic=True))

    def _embeddings(self, columns: Sequence[int], rows: str, prefix: str) -> list[str]:
        """Add the embedding of each category; NaN has position 0."""
        from onnx import TensorProto

        outputs = []
        for number, column in enumerate(columns):
            value = self.add("Gather", [rows, self.constant(np.array(column))], axis=1)
            following = self.add("Add", [value, self.constant(np.float32(1))])
            missing = self.add("IsNaN", [value])
            position = self.add("Where", [missing, self.constant(np.float32(0)), following])
            position = self.add("Cast", [position], to=TensorProto.INT64)
            name = f"{prefix}embeddings.{number}.weight"
            row = self.add("Gather", [self._weight(name), position])
            if f"{name}{STEP}" in self._weights:
                step = self.constant(self._weights[f"{name}{STEP}"][:, None])
                row = self.add("Cast", [row], to=TensorProto.FLOAT)
                row = self.add("Mul", [row, self.add("Gather", [step, position])])
            outputs.append(row)
        return outputs

    def _numbers(self, architecture: Architecture, rows: str) -> list[str]:
        """Add the standardized numbers and their missing indicators."""
        from onnx import TensorProto

        columns = architecture.numeric
        means, scales = (
            self.constant(np.array([statistic[column] for column in columns], np.float32))
            for statistic in (architecture.means, architecture.scales)
        )
        values = self.add("Gather", [rows, self.constant(np.array(columns))], axis=1)
        missing = self.add("IsNaN", [values])
        standard = self.add("Div", [self.add("Sub", [values, means]), scales])
        known = self.add("Where", [missing, self.constant(np.float32(0)), standard])
        low, high = (self.constant(np.float32(bound)) for bound in (-REACH, REACH))
        return [
            self.add("Clip", [known, low, high]),
            self.add("Cast", [missing], to=TensorProto.FLOAT),
        ]

    def _linear(self, values: str, name: str) -> str:
        """Add a linear layer: ``values`` times the weights, plus the bias."""
        weight, bias = f"{name}.weight", self._weight(f"{name}.bias")
        if f"{weight}{STEP}" not in self._weights:
            return self.add("Gemm", [values, self._weight(weight), bias], transB=1)
        return self.add("Add", [self._integer_product(values, weight), bias])

    def _integer_product(self, values: str, weight: str) -> str:
        """Add an integer product; each row of ``values`` has its own step size, so that rows are independent."""
        from onnx import TensorProto

        largest = self.add("ReduceMax", [self.add("Abs", [values])], axes=[1], keepdims=1)
        step = self.add("Div", [largest, self.constant(np.float32(127))])
        step = self.add("Max", [step, self.constant(np.float32(1e-30))])
        steps = self.add("Round", [self.add("Div", [values, step])])
        zero = self.constant(np.uint8(128))
        quantized = self.add("Cast", [self.add("Add", [steps, self.constant(np.float32(128))])], to=TensorProto.UINT8)
        transposed = self.constant(np.ascontiguousarray(self._weights[weight].T))
        product = self.add("Cast", [self.add("MatMulInteger", [quantized, transposed, zero])], to=TensorProto.FLOAT)
        weight_step = self.constant(self._weights[f"{weight}{STEP}"])
        return self.add("Mul", [self.add("Mul", [product, step]), weight_step])

    def _weight(self, name: str) -> str:
        return self.constant(self._weights[name])

    def constant(self, array: NDArray[Any] | np.generic) -> str:
        """Append a constant and return its name."""
        from onnx import numpy_helper

        name = f"constant_{len(self._arrays)}"
        self._arrays.append(numpy_helper.from_array(np.asarray(array), name))
        return name

    def add(self, operation: str, inputs: Sequence[str], **attributes: Any) -> str:
        """Append a node and return the name of its output."""
        from onnx import helper

        name = f"value_{len(self._nodes)}"
        self._nodes.append(helper.make_node(operation, list(inputs), [name], **attributes))
        return name
