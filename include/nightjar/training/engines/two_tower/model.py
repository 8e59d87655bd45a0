"""A trained pair of towers: an ONNX graph."""

from __future__ import annotations

from collections.abc import Mapping

from nightjar.training.engines.graph_check import NETWORK_OPERATIONS, check_graph
from nightjar.training.engines.onnx_graph import GraphMember

FILE = "two_tower.onnx"


class TwoTowerModel(GraphMember):
    """The towers of a model."""

    def content(self) -> dict[str, bytes]:
        """See :meth:`nightjar.training.engines.member.Member.content`."""
        return {FILE: self.graph}


def load(content: Mapping[str, bytes]) -> TwoTowerModel:
    """Load the member from a model folder's files.

    Raises:
        ModelError: when the graph contains what Nightjar does not write, or ONNX Runtime cannot be imported.
    """
    check_graph(content[FILE], where=FILE, operations=NETWORK_OPERATIONS)
    loaded = TwoTowerModel(graph=content[FILE])
    loaded.runner  # noqa: B018 (a graph that the runtime rejects fails here, not at the first row)
    return loaded
