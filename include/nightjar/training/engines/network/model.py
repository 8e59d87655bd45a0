"""A trained network: its ONNX graph for scoring, its weights and its architecture."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from nightjar.protocol.documents import dump_json, load_json
from nightjar.training.engines.graph_check import NETWORK_OPERATIONS, check_graph
from nightjar.training.engines.onnx_graph import GraphMember

GRAPH_FILE = "network.onnx"
WEIGHTS_FILE = "network.safetensors"
ARCHITECTURE_FILE = "network.json"


Link = Literal["logistic", "softmax", "identity", "log"]
"""Function whose inverse turns the last layer into predictions."""


@dataclass(frozen=True, kw_only=True)
class Output:
    """The last layer, and how it becomes predictions: ``inverse link(center + scale * units)``.

    Attributes:
        units: Units of the layer: one number for each row, or one for each class or quantile.
        link: Gives a probability (``logistic``), probabilities of classes (``softmax``), the number itself or, for
            ``log``, its exponential.
        center: Mean of the labels, or its logarithm; 0 for probabilities.
        scale: Standard deviation of the labels; 1 for probabilities and logarithms.
    """

    units: int = 1
    link: Link = "identity"
    center: float = 0.0
    scale: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """Architecture of a network; with ``network.safetensors`` it is sufficient to continue training.

    Attributes:
        values: For each column of the matrix, the size of a category's vocabulary; None for a number.
        widths: For each column, the width of its embedding; 0 for a number.
        means: For each column, its mean over the training rows; 0 for a category.
        scales: For each column, its standard deviation; 1 for a category.
        hidden: Width of each hidden layer.
        output: The last layer.
    """

    values: tuple[int | None, ...]
    widths: tuple[int, ...]
    means: tuple[float, ...]
    scales: tuple[float, ...]
    hidden: tuple[int, ...]
    output: Output

    @classmethod
    def of(
        cls,
        values: Sequence[int | None],
        means: Iterable[float],
        scales: Iterable[float],
        *,
        embedding_width: int,
        hidden: tuple[int, ...],
        output: Output,
    ) -> Architecture:
        """Return the architecture for these columns; a category of few values gets a narrower embedding."""
        return cls(
            values=tuple(values),
            widths=tuple(0 if n is None else max(1, min(embedding_width, (n + 1) // 2)) for n in values),
            means=tuple(float(np.float32(mean)) for mean in means),
            scales=tuple(float(np.float32(scale)) for scale in scales),
            hidden=hidden,
            output=output,
        )

    @property
    def categorical(self) -> list[int]:
        """Categorical columns, in the order of their embeddings."""
        return [column for column, values in enumerate(self.values) if values is not None]

    @property
    def numeric(self) -> list[int]:
        """Numeric columns."""
        return [column for column, values in enumerate(self.values) if values is None]

    @property
    def inputs(self) -> int:
        """Width of the first layer's input: embeddings, numbers, and a missing indicator for each number."""
        return sum(self.widths) + 2 * len(self.numeric)


@dataclass(frozen=True, kw_only=True)
class Network(GraphMember):
    """The network of a model.

    Attributes:
        architecture: Its layers.
        weights: Bytes of a safetensors file.
    """

    architecture: Architecture
    weights: bytes = field(repr=False)

    def content(self) -> dict[str, bytes]:
        """See :meth:`nightjar.training.engines.member.Member.content`."""
        return {
            GRAPH_FILE: self.graph,
            WEIGHTS_FILE: self.weights,
            ARCHITECTURE_FILE: dump_json(self.architecture).encode(),
        }


def load(content: Mapping[str, bytes]) -> Network:
    """Load the member from a model folder's files.

    Raises:
        ModelError: when the graph contains what Nightjar does not write, or ONNX Runtime cannot be imported.
    """
    graph = content[GRAPH_FILE]
    check_graph(graph, where=GRAPH_FILE, operations=NETWORK_OPERATIONS)
    loaded = Network(
        architecture=load_json(Architecture, content[ARCHITECTURE_FILE]), weights=content[WEIGHTS_FILE], graph=graph
    )
    loaded.runner  # noqa: B018 (a graph that the runtime rejects fails here, not at the first row)
    return loaded
