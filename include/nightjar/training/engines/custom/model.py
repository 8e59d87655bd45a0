"""A trained model of a use case's own: an ONNX graph."""

from __future__ import annotations

from collections.abc import Mapping

from nightjar.protocol.errors import ModelError
from nightjar.training.engines.graph_check import check_graph
from nightjar.training.engines.onnx_graph import INPUT, GraphMember

FILE = "custom.onnx"


class CustomModel(GraphMember):
    """The model as an ONNX graph."""

    def content(self) -> dict[str, bytes]:
        """See :meth:`nightjar.training.engines.member.Member.content`."""
        return {FILE: self.graph}


def load(content: Mapping[str, bytes]) -> CustomModel:
    """Load the member from a model folder's files.

    Raises:
        ModelError: when the graph does more than compute, has other inputs, or ONNX Runtime rejects it.
    """
    check_graph(content[FILE], where=FILE)
    loaded = CustomModel(graph=content[FILE])
    if loaded.runner.inputs != [INPUT]:
        raise ModelError(
            f"the graph has the inputs {', '.join(loaded.runner.inputs)}",
            where=FILE,
            fix=f"give it one input, {INPUT!r}: the encoded rows (rows x features, float32)",
        )
    return loaded
