"""Predictions of an ONNX graph, row by row: a row's prediction depends neither on other rows nor on threads."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from nightjar.protocol.errors import ModelError

if TYPE_CHECKING:
    from numpy.typing import NDArray

INPUT = "rows"
BLOCK = 256
"""Rows of each run of the graph, padded with zeros: kernels for other batch sizes sum in another order, so that a row's
prediction would depend on the number of rows."""
_PROVIDERS = ("CUDAExecutionProvider", "CPUExecutionProvider")


class OnnxGraph:
    """A checked graph in ONNX Runtime, with one thread that the threads of :meth:`predict` share.

    Args:
        graph: Bytes of an ONNX file, with the input :data:`INPUT` (rows x features); the first output is predicted.

    Raises:
        ModelError: when ONNX Runtime cannot be imported.
    """

    def __init__(self, graph: bytes) -> None:
        try:
            import onnxruntime as ort
        except ImportError as error:
            raise ModelError(
                "ONNX Runtime cannot be imported", where=str(error), fix="install the project's lock"
            ) from error
        options = ort.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        available = ort.get_available_providers()
        self._session: Any = ort.InferenceSession(graph, options, [name for name in _PROVIDERS if name in available])

    @property
    def inputs(self) -> list[str]:
        """Names of the inputs."""
        return [of_graph.name for of_graph in self._session.get_inputs()]

    def predict(self, matrix: NDArray[np.float32], *, threads: int) -> NDArray[np.float64]:
        """Return the first output for each row of ``matrix``."""
        # without rows one empty block, so that the result has the graph's shape
        blocks = [matrix[start : start + BLOCK] for start in range(0, max(len(matrix), 1), BLOCK)]
        if threads > 1:
            with ThreadPoolExecutor(threads) as pool:
                predictions = list(pool.map(self._predict_block, blocks))
        else:
            predictions = [self._predict_block(block) for block in blocks]
        return np.concatenate(predictions).astype(np.float64)

    def _predict_block(self, block: NDArray[np.float32]) -> NDArray[Any]:
        rows = np.zeros((BLOCK, block.shape[1]), np.float32)
        rows[: len(block)] = block
        predictions: NDArray[Any] = self._session.run(None, {INPUT: rows})[0]
        return predictions[: len(block)]


@dataclass(frozen=True, kw_only=True)
class GraphMember:
    """A member of a model that predicts by an ONNX graph.

    Attributes:
        graph: Bytes of an ONNX file, from rows of :func:`nightjar.training.data.encoding.encode` to the outputs of the
            problem type.
    """

    graph: bytes = field(repr=False)

    def predict(self, matrix: NDArray[np.float32], *, threads: int) -> NDArray[np.float64]:
        """See :meth:`nightjar.training.engines.member.Member.predict`."""
        return self.runner.predict(matrix, threads=threads)

    @cached_property
    def runner(self) -> OnnxGraph:
        """The graph in ONNX Runtime, which rejects a wrong one here."""
        return OnnxGraph(self.graph)
