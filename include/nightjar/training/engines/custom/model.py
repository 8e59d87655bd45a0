"""A trained model of a use case's own: an ONNX graph."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from nightjar.protocol.errors import ModelError
from nightjar.training.engines.graph_check import check_graph
from nightjar.training.engines.onnx_graph import INPUT, OnnxGraph

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FILE = "custom.onnx"


@dataclass(frozen=True, kw_only=True)
class CustomModel:
    """The model as an ONNX graph.

    Attributes:
        graph: Bytes of an ONNX file, from the encoded rows to the outputs of the problem type.
    """

    graph: bytes = field(repr=False)

    def predict(self, matrix: NDArray[np.float32], *, threads: int) -> NDArray[np.float64]:
        """See :meth:`nightjar.training.engines.member.Member.predict`."""
        return self._runner.predict(matrix, threads=threads)

    def content(self) -> dict[str, bytes]:
        """See :meth:`nightjar.training.engines.member.Member.content`."""
        return {FILE: self.graph}

    @cached_property
    def _runner(self) -> OnnxGraph:
        return OnnxGraph(self.graph)


def load(content: Mapping[str, bytes]) -> CustomModel:
    """Load the member from a model folder's files.

    Raises:
        ModelError: when the graph does more than compute, has other inputs, or ONNX Runtime rejects it.
    """
    check_graph(content[FILE], where=FILE)
    loaded = CustomModel(graph=content[FILE])
    if loaded._runner.inputs != [INPUT]:
        raise ModelError(
            f"the graph has the inputs {', '.join(loaded._runner.inputs)}",
            where=FILE,
            fix=f"give it one input, {INPUT!r}: the encoded rows (rows x features, float32)",
        )
    return loaded
