"""Reason codes: the features that contribute most to a row's prediction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from nightjar.training.engines.member import Explained

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from nightjar.training.model import TabularModel


def reason_columns(model: TabularModel, matrix: NDArray[np.float32], count: int) -> dict[str, pa.Array]:
    """Return the columns of :attr:`nightjar.declaration.scoring.Scoring.reason_columns` for the rows of ``matrix``.

    Contributions are the exact SHAP values of the trees (Lundberg et al., 2020, From local explanations to global
    understanding with explainable AI for trees): with the bias, those of a row add up to its log-odds. Those of an
    ensemble are the weighted means of its members'. Equal contributions are in the order of the features. All columns
    are null unless all members are trees or linear.

    Args:
        model: The model that scored the rows.
        matrix: Rows x features, as the model encodes them.
        count: Number of reasons for each row; null where the model has fewer features.
    """
    import pyarrow as pa

    names = pa.array([feature.name for feature in model.card.features], pa.string())
    columns: dict[str, pa.Array] = {}
    contributions = _contributions(model, matrix) if count else None
    if contributions is not None:
        order: NDArray[Any] = np.argsort(-np.abs(contributions), axis=1, kind="stable")[:, :count]
        strongest: NDArray[Any] = np.take_along_axis(contributions, order, axis=1)
    else:
        order = strongest = np.empty((len(matrix), 0), np.float64)
    for place in range(count):
        is_present = place < order.shape[1]
        reason = names.take(pa.array(order[:, place])) if is_present else pa.nulls(len(matrix), pa.string())
        size = pa.array(strongest[:, place], pa.float64()) if is_present else pa.nulls(len(matrix), pa.float64())
        columns |= {f"reason_{place + 1}": reason, f"reason_{place + 1}_contribution": size}
    return columns


def _contributions(model: TabularModel, matrix: NDArray[np.float32]) -> NDArray[np.floating[Any]] | None:
    """Return the contributions of each feature (rows x features); None when a member that predicts has none."""
    total: NDArray[np.floating[Any]] | None = None
    for card, member in zip(model.card.members, model.members, strict=True):
        if not card.weight:
            continue
        if not isinstance(member, Explained):
            return None
        of_member = member.contributions(matrix, threads=1).reshape(len(matrix), -1)
        weighted = of_member if card.weight == 1.0 else card.weight * of_member
        total = weighted if total is None else total + weighted
    return total
