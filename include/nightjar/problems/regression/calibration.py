"""Calibration of predicted quantiles by an offset for each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from nightjar.problems.binary.calibration import Calibrator
from nightjar.problems.quantiles import quantiles_over_ranks
from nightjar.problems.regression.metrics import losses_of_rows

if TYPE_CHECKING:
    from nightjar.declaration.problem import Regression
    from nightjar.problems.arrays import Labels, Outputs, SumOverRanks


@dataclass(frozen=True, kw_only=True)
class Offsets:
    """Quantiles that are moved so that they hold on the validation rows.

    Source: Romano, Patterson and Candès, 2019, Conformalized quantile regression, with an offset for each quantile
    (theorem 2).

    Attributes:
        method: Tells calibrators apart.
        offsets: What is added to each quantile, in the unit of the label.
        minimum: Smallest possible quantile; None for no bound.
    """

    method: Literal["conformal"] = "conformal"
    offsets: tuple[float, ...]
    minimum: float | None = None

    def apply(self, outputs: Outputs) -> Outputs:
        """Return the moved quantiles (rows x quantiles), ascending in each row, each row independent of others."""
        moved = np.sort(outputs + np.array(self.offsets), axis=1)
        return moved if self.minimum is None else np.maximum(moved, self.minimum)


def fit(
    method: str, labels: Labels, outputs: Outputs, cut: int, declared: Regression, sum_over_ranks: SumOverRanks
) -> tuple[Calibrator | Offsets, dict[str, float]]:
    """Fit a calibrator to the rows of all ranks; all ranks call it. Without quantiles there is nothing to calibrate.

    ``best`` fits offsets to the earlier rows, and selects them if they lower the pinball loss of the later rows. When
    either part has no rows, ``best`` is ``conformal``.

    Args:
        method: ``none``, ``conformal`` or ``best``.
        labels: Labels of this rank's rows, in the order of days.
        outputs: Predicted quantiles (rows x quantiles).
        cut: Number of this rank's earlier rows.
        declared: The problem.
        sum_over_ranks: Adds arrays over the ranks.

    Returns:
        The calibrator, and each method's pinball loss on the later rows; empty when methods were not compared.
    """
    if method == "none" or not declared.quantiles:
        return Calibrator(), {}
    losses: dict[str, float] = {}
    if method == "best":
        earlier, later = sum_over_ranks(np.array([cut, len(labels) - cut], dtype=np.float64))
        if earlier and later:
            losses = _compare(labels, outputs, cut, declared, sum_over_ranks)
            if losses["conformal"] >= losses["none"]:
                return Calibrator(), losses
    return fit_offsets(labels, outputs, declared, sum_over_ranks), losses


def _compare(
    labels: Labels, outputs: Outputs, cut: int, declared: Regression, sum_over_ranks: SumOverRanks
) -> dict[str, float]:
    """Return the pinball loss of the later rows, without a calibration and with that of the earlier rows."""
    fitted = fit_offsets(labels[:cut], outputs[:cut], declared, sum_over_ranks)
    raw, calibrated = outputs[cut:], fitted.apply(outputs[cut:])
    sums = [losses_of_rows("pinball", labels[cut:], quantiles, declared).sum() for quantiles in (raw, calibrated)]
    none, conformal, rows = sum_over_ranks(np.array([*sums, len(raw)], dtype=np.float64))
    return {"none": float(none / rows), "conformal": float(conformal / rows)}


def fit_offsets(labels: Labels, outputs: Outputs, declared: Regression, sum_over_ranks: SumOverRanks) -> Offsets:
    """Return the quantile of each predicted quantile's errors over the rows of all ranks; all ranks call it."""
    errors = labels.astype(np.float64)[:, None] - outputs
    offsets = quantiles_over_ranks(errors, declared.quantiles, sum_over_ranks, is_corrected=True)
    return Offsets(offsets=tuple(offsets.tolist()))
