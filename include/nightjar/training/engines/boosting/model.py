"""Trained boosted trees."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from nightjar.training.engines.boosting.ubjson_check import check_ubjson
from nightjar.training.engines.libraries import import_xgboost

if TYPE_CHECKING:
    from numpy.typing import NDArray

FILE = "boosting.ubj"


@dataclass(frozen=True)
class BoostedTrees:
    """The boosted trees of a model.

    Attributes:
        booster: The trees (``xgboost.Booster``).
    """

    booster: Any = field(repr=False)

    def predict(self, matrix: NDArray[np.float32], *, threads: int) -> NDArray[np.float64]:
        """See :meth:`nightjar.training.engines.member.Member.predict`."""
        self.booster.set_param({"nthread": threads})
        return np.asarray(self.booster.inplace_predict(matrix, missing=np.nan), dtype=np.float64)

    def contributions(self, matrix: NDArray[np.float32], *, threads: int) -> NDArray[np.float32]:
        """Return SHAP values of the margin; with the bias, those of a row add up to it.

        Rows x features; for several outputs rows x outputs x features.
        """
        self.booster.set_param({"nthread": threads})
        rows = import_xgboost().DMatrix(matrix, missing=np.nan, nthread=threads)
        contributions: NDArray[np.float32] = self.booster.predict(rows, pred_contribs=True, validate_features=False)
        return contributions[..., :-1]

    def gains(self) -> NDArray[np.float64]:
        """Return the total gain of each feature's splits."""
        names = self.booster.feature_names or [f"f{column}" for column in range(self.booster.num_features())]
        gains = self.booster.get_score(importance_type="total_gain")
        return np.array([float(gains.get(name, 0.0)) for name in names])

    def content(self) -> dict[str, bytes]:
        """See :meth:`nightjar.training.engines.member.Member.content`."""
        return {FILE: bytes(self.booster.save_raw("ubj"))}


def load(content: Mapping[str, bytes]) -> BoostedTrees:
    """Load the member from a model folder's files."""
    check_ubjson(content[FILE])
    booster = import_xgboost().Booster()
    booster.load_model(bytearray(content[FILE]))
    return BoostedTrees(booster)
