"""The simplest baseline: the same prediction for each row, computed over all ranks and saved as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from nightjar.declaration.problem import Multiclass, Regression
from nightjar.problems.quantiles import quantiles_over_ranks
from nightjar.protocol.documents import dump_json, load_json
from nightjar.training.data.shards import Shard
from nightjar.training.data.training_set import TrainingSet
from nightjar.training.distributed.collective import sum_over_ranks
from nightjar.training.engines.member import MemberCard

if TYPE_CHECKING:
    from numpy.typing import NDArray

FILE = "constant.json"


@dataclass(frozen=True, kw_only=True)
class Constant:
    """The same prediction for each row.

    Attributes:
        outputs: The prediction: one number, or one for each class or quantile.
    """

    outputs: float | tuple[float, ...]

    def predict(self, matrix: NDArray[np.float32], *, threads: int) -> NDArray[np.float64]:
        """See :meth:`nightjar.training.engines.member.Member.predict`."""
        predictions: NDArray[np.float64] = np.add.outer(np.zeros(len(matrix)), np.array(self.outputs))
        return predictions

    def card(self, validation_score: float) -> MemberCard:
        """Return the baseline's card."""
        return MemberCard(
            name="constant",
            kind="constant",
            engine="constant",
            params={},
            rounds=0,
            validation_score=validation_score,
        )

    def content(self) -> dict[str, bytes]:
        """See :meth:`nightjar.training.engines.member.Member.content`."""
        return {FILE: dump_json(self).encode()}


def load(content: Mapping[str, bytes]) -> Constant:
    """Load the member from a model folder's files."""
    return load_json(Constant, content[FILE])


def fit(train: Shard, training_set: TrainingSet) -> Constant:
    """Return what predicts the labels of all ranks' rows best; all ranks call it, inside the collective.

    It is the share of each class; for numbers the declared quantiles, the median for the loss ``absolute``, or else the
    mean.

    Args:
        train: This rank's training rows.
        training_set: The problem.
    """
    declared = training_set.recipe.problem
    labels = np.concatenate([np.zeros(0), *(of_batch for _, of_batch in train.batches())])
    if isinstance(declared, Multiclass):
        counts = np.bincount(labels.astype(np.int64), minlength=len(declared.classes)).astype(np.float64)
        total = sum_over_ranks(counts)
        return Constant(outputs=tuple((total / total.sum()).tolist()))
    if isinstance(declared, Regression) and declared.quantiles:
        return Constant(outputs=_quantiles(labels, declared.quantiles))
    if isinstance(declared, Regression) and declared.loss == "absolute":
        return Constant(outputs=_quantiles(labels, (0.5,))[0])
    total = sum_over_ranks(np.array([labels.sum(), len(labels)], dtype=np.float64))
    return Constant(outputs=float(total[0] / total[1]))


def _quantiles(labels: NDArray[np.float64], probabilities: tuple[float, ...]) -> tuple[float, ...]:
    repeated = np.tile(labels[:, None], len(probabilities))
    return tuple(quantiles_over_ranks(repeated, probabilities, sum_over_ranks).tolist())
