"""The network as scoring has it: an ONNX graph, with the weights and architecture that it was made of."""

from __future__ import annotations

import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from nightjar.protocol.documents import parse_object
from nightjar.protocol.errors import ModelError
from nightjar.training.engines.network.graph_check import check_graph

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

GRAPH_FILE = "network.onnx"
WEIGHTS_FILE = "network.safetensors"
ARCHITECTURE_FILE = "network.json"
INPUT = "rows"
BLOCK = 256
"""Rows that the graph answers at once, filled up with zeros: kernels for other numbers of rows add in another order,
so that a row's value would depend on how many come with it."""
_PROVIDERS = ("CUDAExecutionProvider", "CPUExecutionProvider")


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """What the weights are put into: with ``network.safetensors`` enough to train on.

    Attributes:
        values: Per column of the matrix, how many values a category's vocabulary has; None for a number.
        widths: Per column, the width of its embedding; 0 for a number.
        means: Per column, of the training rows; 0 for a category.
        scales: Per column, the standard deviation; 1 for a category.
        hidden: Width of each hidden layer.
    """

    values: tuple[int | None, ...]
    widths: tuple[int, ...]
    means: tuple[float, ...]
    scales: tuple[float, ...]
    hidden: tuple[int, ...]

    @property
    def categorical(self) -> list[int]:
        """Columns of categories; their embeddings are in this order."""
        return [column for column, values in enumerate(self.values) if values is not None]

    @property
    def numeric(self) -> list[int]:
        """Columns of numbers."""
        return [column for column, values in enumerate(self.values) if values is None]

    @property
    def inputs(self) -> int:
        """Width of what the first layer reads: embeddings, numbers, and for each number whether it is missing."""
        return sum(self.widths) + 2 * len(self.numeric)

    def to_json(self) -> str:
        return json.dumps(asdict(self), sort_keys=True, indent=1)

    @classmethod
    def from_json(cls, text: str | bytes) -> Architecture:
        return cls(**{name: tuple(values) for name, values in parse_object(text).items()})


@dataclass(frozen=True, kw_only=True)
class Network:
    """A member of a model.

    Attributes:
        architecture: Of which layers it is made.
        weights: Bytes of a safetensors file.
        graph: Bytes of an ONNX file, from rows of :func:`nightjar.training.data.encoding.encode` to probabilities.
    """

    architecture: Architecture
    weights: bytes = field(repr=False)
    graph: bytes = field(repr=False)

    def predict(self, matrix: NDArray[np.float32], *, threads: int) -> NDArray[np.float64]:
        """See :meth:`nightjar.training.engines.member.Member.predict`; a thread takes whole blocks of :data:`BLOCK`
        rows."""
        import numpy as np

        blocks = [matrix[start : start + BLOCK] for start in range(0, len(matrix), BLOCK)]
        with ThreadPoolExecutor(threads) as pool:
            answers = list(pool.map(self._answer, blocks)) if threads > 1 else [self._answer(block) for block in blocks]
        return np.concatenate([np.empty(0, np.float32), *answers]).astype(np.float64)

    def content(self) -> dict[str, bytes]:
        """See :meth:`nightjar.training.engines.member.Member.content`."""
        return {
            GRAPH_FILE: self.graph,
            WEIGHTS_FILE: self.weights,
            ARCHITECTURE_FILE: self.architecture.to_json().encode(),
        }

    @cached_property
    def _session(self) -> Any:
        """ONNX Runtime's session, of one thread: those of :meth:`predict` share it."""
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

    def _answer(self, block: NDArray[np.float32]) -> NDArray[np.float32]:
        import numpy as np

        rows = np.zeros((BLOCK, block.shape[1]), np.float32)
        rows[: len(block)] = block
        answers: NDArray[np.float32] = self._session.run(None, {INPUT: rows})[0]
        return answers[: len(block)]


def load(content: Mapping[str, bytes]) -> Network:
    """The member of a model folder's files.

    Raises:
        ModelError: when the graph holds more than Nightjar writes, or ONNX Runtime cannot be imported.
    """
    graph = content[GRAPH_FILE]
    check_graph(graph)
    loaded = Network(
        architecture=Architecture.from_json(content[ARCHITECTURE_FILE]), weights=content[WEIGHTS_FILE], graph=graph
    )
    loaded._session  # noqa: B018 (a graph that the runtime refuses is refused now, not by the first row)
    return loaded
