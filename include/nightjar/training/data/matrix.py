"""XGBoost matrices of shards: in memory if they fit, else in external memory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from nightjar.declaration.features import Feature
from nightjar.problems.arrays import group_ids, targets
from nightjar.training.data.shards import Shard
from nightjar.training.distributed.memory import free_memory
from nightjar.training.engines.libraries import import_xgboost

if TYPE_CHECKING:
    from numpy.typing import NDArray

# A bin takes 5 bytes (index and column copy), a row about 64 (gradient, prediction, position, label, pointers).
_BYTES_PER_VALUE, _BYTES_PER_ROW = 5, 64
MEMORY_SHARE = 0.5
"""Share of the free memory for the matrices; the rest is for histograms, trees and reading."""


def build(
    shard: Shard,
    features: tuple[Feature, ...],
    params: Mapping[str, Any],
    *,
    cache: str | None,
    is_weighted: bool,
    is_grouped: bool,
    reference: Any = None,
) -> Any:
    """Build the XGBoost matrix of a shard.

    Args:
        shard: Rows of this rank.
        features: The matrix's columns.
        params: The engine's parameters; ``max_bin`` and ``nthread`` matter here.
        cache: Prefix of files for the bins; None keeps them in memory. Both give the same model.
        is_weighted: Whether rows have the weights of the shard; otherwise all weigh 1. The same on every rank.
        is_grouped: Whether rows are compared within groups, of which the labels tell the first rows.
        reference: The training matrix, whose bins a validation matrix uses.
    """
    xgb = import_xgboost()
    make = xgb.QuantileDMatrix if cache is None else xgb.ExtMemQuantileDMatrix
    return make(
        _reader(shard, features, cache, is_weighted=is_weighted, is_grouped=is_grouped),
        ref=reference,
        max_bin=int(params.get("max_bin", 256)),
        enable_categorical=True,
        nthread=params["nthread"],
    )


def fits(shards: tuple[Shard, ...], ranks_here: int) -> bool:
    """Whether the bins of ``shards`` fit into this rank's part of the free memory."""
    needed = sum(shard.rows * (shard.columns * _BYTES_PER_VALUE + _BYTES_PER_ROW) for shard in shards)
    return needed <= MEMORY_SHARE * free_memory() / ranks_here


def _reader(
    shard: Shard, features: tuple[Feature, ...], cache: str | None, *, is_weighted: bool, is_grouped: bool
) -> Any:
    """Return an iterator over the shard's batches that XGBoost can read several times."""
    xgb = import_xgboost()
    names = [feature.name for feature in features]
    types = ["c" if feature.kind == "categorical" else "q" for feature in features]

    class Reader(xgb.DataIter):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            self.reset()
            super().__init__(cache_prefix=cache)

        def reset(self) -> None:
            self._batches = shard.weighted_batches()
            self._groups = 0

        def next(self, input_data: Any) -> bool:
            batch = next(self._batches, None)
            if batch is None:
                return False
            matrix, labels, weights = batch
            weighted = {"weight": weights} if is_weighted else {}
            groups = self._next_groups(labels) if is_grouped else {}
            input_data(
                data=matrix, label=targets(labels), feature_names=names, feature_types=types, **weighted, **groups
            )
            return True

        def _next_groups(self, labels: NDArray[np.float32]) -> dict[str, Any]:
            ids = self._groups + group_ids(labels)
            self._groups = int(ids[-1]) + 1
            return {"qid": ids}

    return Reader()
