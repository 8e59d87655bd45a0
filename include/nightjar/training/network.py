"""The network as scoring has it: an ONNX graph, with the weights and architecture that it was made of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from nightjar.contracts.errors import ModelError

if TYPE_CHECKING:
    from nightjar.training.member import Member


def load(content: Mapping[str, bytes]) -> Member:
    """The member of a model folder's files."""
    raise ModelError("networks cannot be loaded yet", where="network.onnx", fix="train without a Network")
