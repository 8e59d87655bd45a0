"""A trained network: its ONNX graph for scoring, its weights and its architecture."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from nightjar.protocol.documents import dump_json, load_json
from nightjar.protocol.errors import ModelError
from nightjar.training.engines.network.graph_check import check_graph

if TYPE_CHECKING:
    from numpy.typing import NDArray

GRAPH_FILE = "network.onnx"
WEIGHTS_FILE = "network.safetensors"
ARCHITECTURE_FILE = "network.json"
INPUT = "rows"
BLOCK = 256
"""Rows of each run of the graph, padded with zeros: kernels for other batch sizes sum in another order, so that a row's
prediction would depend on the number of rows."""
_PROVIDERS = ("CUDAExecutionProvider", "CPUExecutionProvider")


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
class Network:
    """The network of a model.

    Attributes:
        architecture: Its layers.
        weights: Bytes of a safetensors file.
        graph: Bytes of an ONNX file, from rows of :func:`nightjar.training.data.encoding.encode` to predictions.
    """

    architecture: Architecture
    weights: bytes = field(repr=False)
    graph: bytes = field(repr=False)

    def predict(self, matrix: NDArray[np.float32], *, threads: int) -> NDArray[np.float64]:
        """See :meth:`nightjar.training.engines.member.Member.predict`; threads predict blocks of :data:`BLOCK` rows."""
        blocks = [matrix[start : start + BLOCK] for start in range(0, len(matrix), BLOCK)]
        with ThreadPoolExecutor(threads) as pool:
            predictions = (
                list(pool.map(self._predict_block, blocks))
                if threads > 1
                else [self._predict_block(block) for block in blocks]
            )
        units = self.architecture.output.units
        none = np.empty(0 if units == 1 else (0, units), np.float32)
        return np.concatenate([none, *predictions]).astype(np.float64)

    def content(self) -> dict[str, bytes]:
        """See :meth:`nightjar.training.engines.member.Member.content`."""
        return {
            GRAPH_FILE: self.graph,
            WEIGHTS_FILE: self.weights,
            ARCHITECTURE_FILE: dump_json(self.architecture).encode(),
        }

    @cached_property
    def _session(self) -> Any:
        """ONNX Runtime's session with one thread, shared by the threads of :meth:`predict`."""
        try:
            import onnxruntime as ort
        except ImportError as error:
            raise ModelError(
                "ONNX Runtime cannot be imported", where=str(error), fix="install the project's lock"
            ) from error
        options = ort.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        available = ort.get_available_providers()
        return ort.InferenceSession(self.graph, options, [name for name in _PROVIDERS if name in available])

    def _predict_block(self, block: NDArray[np.float32]) -> NDArray[np.float32]:
        rows = np.zeros((BLOCK, block.shape[1]), np.float32)
        rows[: len(block)] = block
        predictions: NDArray[np.float32] = self._session.run(None, {INPUT: rows})[0]
        return predictions[: len(block)]


def load(content: Mapping[str, bytes]) -> Network:
    """Load the member from a model folder's files.

    Raises:
        ModelError: when the graph contains what Nightjar does not write, or ONNX Runtime cannot be imported.
    """
    graph = content[GRAPH_FILE]
    check_graph(graph)
    loaded = Network(
        architecture=load_json(Architecture, content[ARCHITECTURE_FILE]), weights=content[WEIGHTS_FILE], graph=graph
    )
    loaded._session  # noqa: B018 (a graph that the runtime rejects fails here, not at the first row)
    return loaded
