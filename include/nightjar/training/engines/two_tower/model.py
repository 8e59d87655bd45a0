"""A trained pair of towers: an ONNX graph."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from nightjar.training.engines.graph_check import NETWORK_OPERATIONS, check_graph
from nightjar.training.engines.onnx_graph import OnnxGraph

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FILE = "two_tower.onnx"


@dataclass(frozen=True, kw_only=True)
class TwoTowerModel:
    """The towers of a model.

    Attributes:
        graph: Bytes of an ONNX file, from rows of :func:`nightjar.training.data.encoding.encode` to scores.
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


def load(content: Mapping[str, bytes]) -> TwoTowerModel:
    """Load the member from a model folder's files.

    Raises:
        ModelError: when the graph contains what Nightjar does not write, or ONNX Runtime cannot be imported.
    """
    check_graph(content[FILE], where=FILE, operations=NETWORK_OPERATIONS)
    loaded = TwoTowerModel(graph=content[FILE])
    loaded._runner  # noqa: B018 (a graph that the runtime rejects fails here, not at the first row)
    return loaded
