"""Check an ONNX file before ONNX Runtime loads it: it may only compute, from its own weights.

A malicious graph can refer to local files as weights (external data) in any tensor, also within the graph of a loop or
a function. Nightjar neither writes nor accepts these, nor operations that draw random numbers.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

from nightjar.protocol.errors import ModelError

NETWORK_OPERATIONS = frozenset(
    {
        "Abs", "Add", "Cast", "Clip", "Concat", "Div", "Exp", "Gather", "Gemm", "IsNaN", "LayerNormalization",
        "MatMulInteger", "Max", "Mul", "ReduceMax", "ReduceSum", "Relu", "Round", "Sigmoid", "Softmax", "Squeeze",
        "Sub", "Where",
    }
)  # fmt: skip
"""Operations of the networks that Nightjar writes."""
_DOMAINS = frozenset({"", "ai.onnx", "ai.onnx.ml"})
_RANDOM = ("Random", "Multinomial", "Bernoulli", "Dropout")

# The part of onnx.proto3 to check: message to field to (number, type). Other fields are skipped.
_SCHEMA: dict[str, dict[str, tuple[int, str]]] = {
    "Model": {"graph": (7, "Graph"), "training_info": (20, "bytes"), "functions": (25, "bytes")},
    "Graph": {"node": (1, "Node"), "initializer": (5, "Tensor"), "sparse_initializer": (15, "bytes")},
    "Node": {"op_type": (4, "bytes"), "attribute": (5, "Attribute"), "domain": (7, "bytes")},
    "Attribute": {
        "tensor": (5, "bytes"),
        "graph": (6, "bytes"),
        "tensors": (10, "bytes"),
        "graphs": (11, "bytes"),
        "sparse_tensor": (22, "bytes"),
        "sparse_tensors": (23, "bytes"),
    },
    "Tensor": {"external_data": (13, "bytes"), "data_location": (14, "int32")},
}


def check_graph(data: bytes, *, where: str, operations: frozenset[str] | None = None) -> None:
    """Reject an ONNX file that refers to other files, or holds operations that are not allowed.

    Args:
        data: The file's bytes.
        where: Name of the file, for the error.
        operations: The only operations that are allowed; None for all of the ONNX standard that draw no random
            numbers.

    Raises:
        ModelError: naming what is not allowed.
    """
    from google.protobuf.message import DecodeError

    try:
        model = _message()()
        model.ParseFromString(data)
    except DecodeError as error:
        raise _refusal("is not an ONNX file", where) from error
    for problem in _problems(model, operations):
        raise _refusal(problem, where)


def _problems(model: Any, operations: frozenset[str] | None) -> Iterator[str]:
    if not model.graph:
        yield "holds no graph"
    for name in ("training_info", "functions"):
        if getattr(model, name):
            yield f"holds {name}"
    for graph in model.graph:
        if any(tensor.external_data or any(tensor.data_location) for tensor in graph.initializer):
            yield "names external data, which would be read from this machine's files"
        if graph.sparse_initializer:
            yield "holds sparse initializers"
        for node in graph.node:
            yield from _problems_of_node(node, operations)


def _problems_of_node(node: Any, operations: frozenset[str] | None) -> Iterator[str]:
    operation, domain = (b"".join(part).decode(errors="replace") for part in (node.op_type, node.domain))
    if operations is None:
        is_allowed = domain in _DOMAINS and not operation.startswith(_RANDOM)
    else:
        is_allowed = not domain and operation in operations
    if not is_allowed:
        yield f"holds the operation {operation!r:.100}"
    for attribute in node.attribute:
        if nested := [name for name in _SCHEMA["Attribute"] if getattr(attribute, name)]:
            yield f"holds a {nested[0]} inside of an operation"


def _refusal(problem: str, where: str) -> ModelError:
    return ModelError(
        f"the model's graph {problem}",
        where=where,
        fix="do not score with this model; promote one that the use case's DAG trained",
    )


@cache
def _message() -> Any:
    """Return the class of message ``Model`` of :data:`_SCHEMA`; all fields are repeated, so that none hides another."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    file = descriptor_pb2.FileDescriptorProto(name="nightjar_onnx.proto", package="nightjar_onnx", syntax="proto2")
    kinds = descriptor_pb2.FieldDescriptorProto
    plain = {"bytes": kinds.TYPE_BYTES, "int32": kinds.TYPE_INT32}
    for name, fields in _SCHEMA.items():
        message = file.message_type.add(name=name)
        for field, (number, kind) in fields.items():
            added = message.field.add(name=field, number=number, label=kinds.LABEL_REPEATED)
            added.type = plain.get(kind, kinds.TYPE_MESSAGE)
            if kind in _SCHEMA:
                added.type_name = f".nightjar_onnx.{kind}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("nightjar_onnx.Model"))
