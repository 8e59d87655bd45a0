"""Reason codes: the features that contribute most to a row's prediction."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from nightjar.training.engines.boosting.model import BoostedTrees

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from nightjar.training.model import TabularModel


def reason_columns(model: TabularModel, matrix: NDArray[np.float32], count: int) -> dict[str, pa.Array]:
    """Return the columns of :attr:`nightjar.declaration.scoring.Scoring.reason_columns` for the rows of ``matrix``.

    Contributions are the exact SHAP values of the trees (Lundberg et al., 2020, From local explanations to global
    understanding with explainable AI for trees): with the bias, those of a row add up to its log-odds. Equal
    contributions are in the order of the features. All columns are null unless the model is a single booster.

    Args:
        model: The model that scored the rows.
        matrix: Rows x features, as the model encodes them.
        count: Number of reasons for each row; null where the model has fewer features.
    """
    import pyarrow as pa

    names = pa.array([feature.name for feature in model.card.features], pa.string())
    columns: dict[str, pa.Array] = {}
    member = model.members[0]
    if count and len(model.members) == 1 and isinstance(member, BoostedTrees):
        contributions = member.contributions(matrix, threads=1)
        order = np.argsort(-np.abs(contributions), axis=1, kind="stable")[:, :count]
        strongest = np.take_along_axis(contributions, order, axis=1)
    else:
        order = strongest = np.empty((len(matrix), 0), np.float64)
    for place in range(count):
        is_present = place < order.shape[1]
        reason = names.take(pa.array(order[:, place])) if is_present else pa.nulls(len(matrix), pa.string())
        size = pa.array(strongest[:, place], pa.float64()) if is_present else pa.nulls(len(matrix), pa.float64())
        columns |= {f"reason_{place + 1}": reason, f"reason_{place + 1}_contribution": size}
    return columns
