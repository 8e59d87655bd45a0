"""The simple model that others must beat: logistic regression, fitted over all ranks, saved as JSON."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from nightjar.contracts.errors import ModelError, TrainingError
from nightjar.contracts.use_case import Feature
from nightjar.lake import files
from nightjar.training.collective import sum_over_ranks
from nightjar.training.encoding import encode
from nightjar.training.shards import Shard

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

FILE = "baseline.json"
FORMAT = 1
MAX_ROWS = 200_000
"""Rows that it is fitted to, taken evenly from all; a few hundred weights are well known by then."""
RIDGE = 1e-3
"""Penalty on half the squared weights, against the mean log loss; keeps weights of rare categories finite."""
_MAX_STEPS = 50
_ENOUGH = 1e-8
_LONGEST = 4.0  # a longer step leaves the region in which Newton's method is to be trusted


@dataclass(frozen=True, kw_only=True)
class Baseline:
    """Logistic regression on standardised numbers and one column a category.

    A missing number counts as the mean and sets a column of its own; an unknown category sets none.

    Attributes:
        features: Inputs.
        categories: Categorical feature to its frozen vocabulary.
        means: Per feature, of the training rows; 0 for categories.
        scales: Per feature, the standard deviation; 1 for categories and constants.
        weights: Intercept, then the columns of :func:`design`.
    """

    features: tuple[Feature, ...]
    categories: Mapping[str, tuple[str, ...]]
    means: tuple[float, ...]
    scales: tuple[float, ...]
    weights: tuple[float, ...]

    def predict(self, table: pa.Table | pa.RecordBatch) -> NDArray[np.float64]:
        """Probabilities, one a row.

        Raises:
            ModelError: when a column is missing or of another type.
        """
        import numpy as np

        matrix = encode(table, self.features, self.categories)
        columns = design(matrix, self.features, self.categories, np.array(self.means), np.array(self.scales))
        probability: NDArray[np.float64] = _probability(columns @ np.array(self.weights))
        return probability

    def save(self, folder: str) -> str:
        """Write ``baseline.json`` into ``folder``; return its SHA-256."""
        text = json.dumps({"format": FORMAT, **asdict(self)}, sort_keys=True, indent=1)
        files.write_text(f"{folder}/{FILE}", text)
        return hashlib.sha256(text.encode()).hexdigest()

    @classmethod
    def load(cls, folder: str, *, sha256: str) -> Baseline:
        """Read what :meth:`save` wrote.

        Raises:
            ModelError: when it is missing, altered, or of another format.
        """
        uri = f"{folder}/{FILE}"
        try:
            content = files.read_bytes(uri)
        except FileNotFoundError as error:
            raise ModelError("the training has left no baseline", where=uri, fix="clear train of this run") from error
        if hashlib.sha256(content).hexdigest() != sha256:
            raise ModelError(
                "the file is not the one that was trained (SHA-256 differs)", where=uri, fix="clear train of this run"
            )
        document = json.loads(content)
        if (found := document.pop("format")) != FORMAT:
            raise ModelError(
                f"the baseline's format is {found}, not {FORMAT}", where=uri, fix="clear train of this run"
            )
        document["features"] = tuple(Feature(**feature) for feature in document["features"])
        return cls(**document)


def fit(
    shard: Shard, features: tuple[Feature, ...], categories: Mapping[str, tuple[str, ...]], all_rows: int
) -> Baseline:
    """Fit to every n-th row of this rank's shard together with the other ranks; all call it, inside the collective.

    Newton's method on the penalised log loss (iteratively reweighted least squares; Hastie, Tibshirani and Friedman,
    The Elements of Statistical Learning, 4.4.1), its sums added up over the ranks.

    Args:
        shard: This rank's training rows.
        features: The matrix's columns.
        categories: Categorical feature to its vocabulary.
        all_rows: Rows of all ranks.

    Raises:
        TrainingError: when it does not converge.
    """
    import numpy as np

    stride = -(-all_rows // MAX_ROWS)
    batches = [(matrix[::stride], labels[::stride].astype(np.float64)) for matrix, labels in shard.batches()]
    means, scales = _moments([matrix for matrix, _ in batches], features)
    columns = partial(design, features=features, categories=categories, means=means, scales=scales)
    weights = np.zeros(columns(batches[0][0]).shape[1])
    penalty = np.full(len(weights), RIDGE)
    penalty[0] = 0.0
    for _ in range(_MAX_STEPS):
        rows, gradient, curvature = _sums(batches, columns, weights)
        step = np.linalg.solve(curvature / rows + np.diag(penalty), gradient / rows + penalty * weights)
        largest = float(np.abs(step).max())
        weights -= step * min(1.0, _LONGEST / largest) if largest else step
        if largest < _ENOUGH:
            return Baseline(
                features=features,
                categories=categories,
                means=tuple(means.tolist()),
                scales=tuple(scales.tolist()),
                weights=tuple(weights.tolist()),
            )
    raise TrainingError(
        f"the baseline does not converge in {_MAX_STEPS} steps",
        where="logistic regression on the training rows",
        how_many=len(weights),
        fix="look for infinite or enormous values among the features",
    )


def design(
    matrix: NDArray[np.float32],
    features: Sequence[Feature],
    categories: Mapping[str, Sequence[str]],
    means: NDArray[np.float64],
    scales: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Columns of the regression (rows x weights): 1, each number and whether it is missing, each category."""
    import numpy as np

    columns = [np.ones((len(matrix), 1))]
    for position, feature in enumerate(features):
        values = matrix[:, position].astype(np.float64)
        missing = np.isnan(values)
        if feature.kind == "numeric":
            standard = np.where(missing, 0.0, (values - means[position]) / scales[position])
            columns.append(np.stack([standard, missing.astype(np.float64)], axis=1))
        else:
            columns.append((values[:, None] == np.arange(len(categories[feature.name]))).astype(np.float64))
    return np.hstack(columns)


def _moments(
    matrices: Sequence[NDArray[np.float32]], features: Sequence[Feature]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and standard deviation per feature over all ranks' rows, missing left out; in two passes, for precision."""
    import numpy as np

    numeric = np.array([feature.kind == "numeric" for feature in features])
    known = sum_over_ranks(np.sum([(~np.isnan(m)).sum(axis=0, dtype=np.float64) for m in matrices], axis=0))
    total = sum_over_ranks(np.sum([np.nansum(m, axis=0, dtype=np.float64) for m in matrices], axis=0))
    means = np.where(numeric, total / np.maximum(known, 1), 0.0)
    squares = sum_over_ranks(np.sum([np.nansum((m - means) ** 2, axis=0) for m in matrices], axis=0))
    deviations = np.sqrt(squares / np.maximum(known, 1))
    return means, np.where(numeric & (deviations > 0), deviations, 1.0)


def _sums(
    batches: Sequence[tuple[NDArray[np.float32], NDArray[np.float64]]],
    columns_of: Callable[[NDArray[np.float32]], NDArray[np.float64]],
    weights: NDArray[np.float64],
) -> tuple[float, NDArray[np.float64], NDArray[np.float64]]:
    """Rows, gradient and curvature of the log loss, summed over batches and ranks."""
    import numpy as np

    size = len(weights)
    sums = np.zeros((size + 2, size))
    for matrix, labels in batches:
        columns = columns_of(matrix)
        probability = _probability(columns @ weights)
        sums[0, 0] += len(labels)
        sums[1] += columns.T @ (probability - labels)
        sums[2:] += columns.T @ (columns * (probability * (1 - probability))[:, None])
    total = sum_over_ranks(sums)
    return float(total[0, 0]), total[1], total[2:]


def _probability(score: Any) -> Any:
    """The logistic function, without overflow."""
    import numpy as np

    return 0.5 * (1 + np.tanh(score / 2))
