"""The baseline of several classes: multinomial logistic regression, fitted over all ranks and saved as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from nightjar.declaration.problem import Multiclass
from nightjar.problems.multiclass.softmax import softmax
from nightjar.protocol.documents import dump_json, load_json
from nightjar.protocol.errors import TrainingError
from nightjar.training.data.shards import Shard
from nightjar.training.data.training_set import TrainingSet
from nightjar.training.distributed.collective import sum_over_ranks
from nightjar.training.engines.linear.inputs import MAX_ROWS, RIDGE, Inputs, sample, standardized
from nightjar.training.engines.member import MemberCard

if TYPE_CHECKING:
    from numpy.typing import NDArray

    _Rows = tuple[Any, NDArray[np.int64]]
    """Design matrix, sparse as categories have mostly zeros (``scipy.sparse.csr_array``), and labels of some rows."""

FILE = "multinomial.json"
_MAX_STEPS, _TOLERANCE = 1000, 1e-7
_MAX_GRADIENT = 1e-4
"""Largest slope of the loss, in nats, that may remain for a scaled weight."""
_INTERCEPT_RIDGE = 1e-6  # keeps the intercept of a class without a sampled row finite, and fixes the intercepts' sum


@dataclass(frozen=True, kw_only=True)
class Multinomial:
    """Multinomial logistic regression on standardized numbers and one-hot encoded categories.

    Attributes:
        inputs: Features, and what standardizes them.
        weights: For each class the intercept, then the other columns of the design matrix.
    """

    inputs: Inputs
    weights: tuple[tuple[float, ...], ...]

    def predict(self, matrix: NDArray[np.float32], *, threads: int) -> NDArray[np.float64]:
        """Return probabilities (rows x classes); see :meth:`nightjar.training.engines.member.Member.predict`."""
        columns = self.inputs.columns(matrix)
        # summed by column: a row's sum must not depend on the number of rows
        scores = np.stack([(columns * np.array(of_class)).sum(axis=1) for of_class in self.weights], axis=1)
        return softmax(scores)

    def card(self, validation_score: float) -> MemberCard:
        """Return the baseline's card."""
        return MemberCard(
            name="multinomial",
            kind="multinomial",
            engine="multinomial logistic regression",
            params={"ridge": RIDGE, "max_rows": MAX_ROWS},
            rounds=0,
            validation_score=validation_score,
        )

    def content(self) -> dict[str, bytes]:
        """See :meth:`nightjar.training.engines.member.Member.content`."""
        return {FILE: dump_json(self).encode()}


def load(content: Mapping[str, bytes]) -> Multinomial:
    """Load the member from a model folder's files."""
    return load_json(Multinomial, content[FILE])


def fit(train: Shard, training_set: TrainingSet) -> Multinomial:
    """Fit the baseline to every n-th row of all ranks' shards; all ranks call it, inside the collective.

    SciPy's L-BFGS on the penalized log loss, with sums over all ranks, from the logarithm of the classes' shares. All
    ranks take the same steps. Weights are scaled by the root of a bound of the Hessian (Böhning, 1992, Multinomial
    logistic regression algorithm): for each class half the columns' products.

    Args:
        train: This rank's training rows; a label is the position of its class.
        training_set: Features with their vocabularies, the number of rows of all ranks, and the classes.

    Raises:
        TrainingError: when it does not converge.
    """
    from scipy.linalg import solve_triangular  # these take 0.3 s, and scoring needs none of them
    from scipy.optimize import minimize
    from scipy.sparse import csr_array

    classes = len(cast(Multiclass, training_set.recipe.problem).classes)
    batches = sample(train, training_set)
    inputs = standardized(batches, training_set)
    penalties = inputs.penalties
    penalties[0] = _INTERCEPT_RIDGE
    rows = [(csr_array(inputs.columns(matrix)), labels.astype(np.int64)) for matrix, labels in batches]
    rows_of_class, products = _sums(rows, classes, len(penalties))
    all_rows = rows_of_class.sum()
    start = np.zeros((classes, len(penalties)))
    start[:, 0] = np.log((rows_of_class + 1) / (all_rows + classes))

    if not np.isfinite(products).all():
        raise TrainingError(
            "the baseline does not converge: columns of its design matrix are not finite",
            where="multinomial logistic regression on the training rows",
            how_many=int((~np.isfinite(products)).any(axis=0).sum()),
            fix="check the features for infinite or very large values",
        )
    root = np.linalg.cholesky(products / (2 * all_rows) + np.diag(penalties))

    def distance_of(scaled: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return how far the weights are from the start."""
        distance: NDArray[np.float64] = solve_triangular(root.T, scaled.reshape(start.shape).T).T
        return distance

    def evaluate(scaled: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        """Return mean log loss and gradient over all ranks, with the penalty."""
        distance = distance_of(scaled)
        loss, gradient = _loss_and_gradient(rows, start + distance)
        penalty = float((penalties * distance**2).sum()) / 2
        penalized = gradient / all_rows + penalties * distance
        return loss / float(all_rows) + penalty, solve_triangular(root, penalized.T, lower=True).T.ravel()

    options = {"maxiter": _MAX_STEPS, "maxfun": 2 * _MAX_STEPS, "gtol": _TOLERANCE, "ftol": 0.0}
    found = minimize(evaluate, np.zeros(start.size), jac=True, method="L-BFGS-B", options=options)
    weights, remaining = start + distance_of(found.x), float(np.abs(found.jac).max())
    if not remaining < _MAX_GRADIENT:
        raise TrainingError(
            f"the baseline does not converge: a gradient of {remaining:.3g} remains after {found.nit} steps",
            where="multinomial logistic regression on the training rows",
            how_many=start.size,
            fix="check the features for infinite or very large values",
        )
    return Multinomial(inputs=inputs, weights=tuple(tuple(of_class) for of_class in weights.tolist()))


def _sums(rows: Sequence[_Rows], classes: int, width: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the rows of each class and the products of the columns, summed over batches and ranks."""
    rows_of_class, products = np.zeros(classes), np.zeros((width, width))
    for columns, labels in rows:
        rows_of_class += np.bincount(labels, minlength=classes)
        products += (columns.T @ columns).toarray()
    return sum_over_ranks(rows_of_class), sum_over_ranks(products)


def _loss_and_gradient(rows: Sequence[_Rows], weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
    """Return the log loss and its gradient (classes x columns), summed over batches and ranks."""
    sums = np.zeros(weights.size + 1)
    for columns, labels in rows:
        scores = columns @ weights.T
        of_labels = np.arange(len(labels)), labels
        errors = softmax(scores)
        sums[0] += (_log_of_sum(scores) - scores[of_labels]).sum()
        errors[of_labels] -= 1
        sums[1:] += (columns.T @ errors).T.ravel()
    total = sum_over_ranks(sums)
    return float(total[0]), total[1:].reshape(weights.shape)


def _log_of_sum(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the logarithm of the sum of each row's powers of e."""
    largest = scores.max(axis=1)
    logarithms: NDArray[np.float64] = largest + np.log(np.exp(scores - largest[:, None]).sum(axis=1))
    return logarithms
