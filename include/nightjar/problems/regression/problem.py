"""Numbers and their quantiles, as training, evaluation and scoring see them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from nightjar.declaration.problem import CONSTANT, SKILL, Regression
from nightjar.declaration.quality import QualityMetric
from nightjar.declaration.quantiles import DECISION
from nightjar.problems.blending import weighted_mean
from nightjar.problems.regression import calibration
from nightjar.problems.regression.metrics import (
    BY_MEAN,
    all_metrics,
    decide_quantile,
    losses_of_rows,
    predictions_of,
    value_of_mean,
)
from nightjar.problems.shared import WithoutThreshold
from nightjar.problems.simplex import weights_of_pinball, weights_of_squares

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from nightjar.problems.arrays import Labels, Outputs, SumOverRanks
    from nightjar.problems.calibrators import Calibrator

POSITIVE, NEGATIVE = "positive", "negative"


@dataclass(frozen=True)
class RegressionProblem(WithoutThreshold):
    """See :class:`nightjar.problems.problem_type.ProblemType`.

    Outputs are one number for each row or, with quantiles, rows x quantiles. Labels are conditions on 32-bit numbers,
    which training reads.
    """

    is_grouped: ClassVar[bool] = False
    label_inputs: ClassVar[tuple[str, ...]] = ()

    declared: Regression

    @property
    def valid_label(self) -> str:
        """Labels are finite, and at least 0 for the losses that need it."""
        finite = f"NOT isnan({_LABEL}) AND abs({_LABEL}) < CAST('Infinity' AS FLOAT)"
        return f"{finite} AND label >= 0" if self.declared.has_lower_bound else finite

    @property
    def label_counts(self) -> Mapping[str, str]:
        """Positive and negative labels are counted; the others are 0."""
        return {POSITIVE: f"{_LABEL} > 0", NEGATIVE: f"{_LABEL} < 0"}

    def count_labels(self, labels: Labels) -> dict[str, int]:
        """Count positive and negative labels."""
        rounded = labels.astype(np.float32)
        return {POSITIVE: int((rounded > 0).sum()), NEGATIVE: int((rounded < 0).sum())}

    def encode_labels(self, rows: pa.Table) -> NDArray[np.float64]:
        """Return the labels."""
        encoded: NDArray[np.float64] = rows["label"].to_numpy()
        return encoded

    def obstacle_to_training(self, rows: int, counts: Mapping[str, int]) -> str:
        """There must be rows and, for the logarithm of a mean, a label above 0."""
        if rows and self.declared.has_lower_bound and not counts[POSITIVE]:
            return f"no signal: all {rows} labels are 0"
        return self.obstacle_to_measuring(rows, counts)

    def obstacle_to_measuring(self, rows: int, counts: Mapping[str, int]) -> str:
        """There must be rows."""
        return "" if rows else "no labels"

    @property
    def units(self) -> int:
        """A number, or one for each quantile."""
        return max(1, len(self.declared.quantiles))

    def boosting_params(self) -> dict[str, Any]:
        """Return the objective of the loss, and its parameter."""
        declared = self.declared
        of_loss: dict[str, dict[str, Any]] = {
            "huber": {"huber_slope": declared.huber_slope},
            "tweedie": {"tweedie_variance_power": declared.tweedie_power},
            "quantile": {"quantile_alpha": list(declared.quantiles)},
        }
        return {"objective": declared.objective, **of_loss.get(declared.loss, {})}

    def validation_metric(self, decisive: str) -> QualityMetric:
        """Return the decisive metric if it is a mean over rows, else that of the loss."""
        metrics = self.declared.metrics
        return metrics[decisive if decisive in BY_MEAN and decisive in metrics else next(iter(metrics))]

    def validation_sums(self, metric: str, labels: Labels, outputs: Outputs) -> NDArray[Any]:
        """Return the sum of the rows' losses and the number of rows."""
        losses = losses_of_rows(metric, labels, self._shaped(outputs), self.declared)
        return np.array([losses.sum(), len(labels)], dtype=np.float64)

    def validation_value(self, metric: str, sums: NDArray[Any]) -> float:
        """Return the metric of the mean."""
        return value_of_mean(metric, float(sums[0] / sums[1]))

    def fit_weights(
        self, labels: Labels, outputs: Sequence[Outputs], sum_over_ranks: SumOverRanks
    ) -> tuple[float, ...]:
        """Minimize the squared error of members that predict a mean, the pinball loss of those that predict quantiles.

        The absolute error, by which ``huber`` is judged too, is twice the pinball loss of the median.
        """
        if self.declared.loss in ("squared", "poisson", "tweedie"):
            return weights_of_squares(labels, outputs, sum_over_ranks)
        if self.declared.quantiles:
            ascending = [np.sort(self._shaped(output), axis=1) for output in outputs]
            return weights_of_pinball(labels, ascending, self.declared.quantiles, sum_over_ranks)
        return weights_of_pinball(labels, [output[:, None] for output in outputs], (0.5,), sum_over_ranks)

    def blend(self, outputs: Sequence[Outputs], weights: Sequence[float]) -> Outputs:
        """Return the weighted mean of the members' numbers or quantiles, which ascend in each row.

        A member's quantiles are sorted first, which lowers their loss (Chernozhukov, Fernández-Val and Galichon, 2010,
        Quantile and probability curves without crossing); the mean of ascending quantiles ascends.
        """
        if not self.declared.quantiles:
            return weighted_mean(outputs, weights)
        return weighted_mean([np.sort(self._shaped(output), axis=1) for output in outputs], weights)

    def fit_calibrator(
        self, method: str, labels: Labels, outputs: Outputs, cut: int, sum_over_ranks: SumOverRanks
    ) -> tuple[Calibrator, dict[str, float]]:
        """Fit an offset for each quantile; a prediction without quantiles is not calibrated."""
        return calibration.fit(method, labels, outputs, cut, self.declared, sum_over_ranks)

    def measure(self, labels: Labels, outputs: Outputs) -> dict[str, float]:
        """Return the metrics of predictions, of quantiles and, with costs, of decisions."""
        counts = {name: float(count) for name, count in self.count_labels(labels).items()}
        return all_metrics(labels, outputs, self.declared) | counts

    def compare(self, metrics: Mapping[str, float], baselines: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
        """Return the skill: 1 minus the ratio of the loss to that of the constant baseline.

        1 is perfect, 0 as good as the constant, negative worse (Murphy, 1988, Skill scores based on the mean square
        error, equation 4). It is left out when the constant is perfect.
        """
        metric = self.declared.loss_metric
        reference = baselines[CONSTANT][metric]
        return {SKILL: 1 - metrics[metric] / reference} if reference else {}

    def columns(self, outputs: Outputs) -> dict[str, pa.Array]:
        """Return the prediction, the quantiles, and the number with the lowest expected cost."""
        import pyarrow as pa

        cost = self.declared.cost
        return {
            "prediction": pa.array(predictions_of(outputs, self.declared), pa.float64()),
            **{
                column: pa.array(outputs[:, position], pa.float64())
                for position, column in enumerate(self.declared.quantile_columns)
            },
            DECISION: (
                pa.nulls(len(outputs), pa.float64())
                if cost is None
                else pa.array(decide_quantile(outputs, self.declared.quantiles, cost), pa.float64())
            ),
        }

    @property
    def audit_columns(self) -> tuple[str, ...]:
        """The prediction and the quantiles."""
        return ("prediction", *self.declared.quantile_columns)

    @property
    def out_of_range(self) -> str:
        """Predictions are finite; quantiles ascend."""
        below = ", below 0" if self.declared.has_lower_bound else ""
        return f"predictions are not finite{below}, or their quantiles do not ascend"

    def count_out_of_range(self, scores: pa.RecordBatch) -> int:
        """Count rows with a prediction or quantile that is not allowed, or with quantiles that do not ascend."""
        prediction, *quantiles = (scores.column(name).to_numpy(zero_copy_only=False) for name in self.audit_columns)
        is_right = np.isfinite(prediction)
        if self.declared.has_lower_bound:
            is_right &= prediction >= 0
        if quantiles:
            ascending = np.stack(quantiles, axis=1)
            is_right &= np.isfinite(ascending).all(axis=1) & (np.diff(ascending, axis=1) >= 0).all(axis=1)
        return int(np.count_nonzero(~is_right))

    def sums(self, scores: pa.RecordBatch | pa.Table) -> dict[str, float]:
        """Return the sums of the predictions and of their squares."""
        import pyarrow.compute as pc

        prediction = scores.column("prediction")
        squares = pc.multiply(prediction, prediction)
        return {"prediction": pc.sum(prediction).as_py() or 0.0, "square": pc.sum(squares).as_py() or 0.0}

    @property
    def max_mean_shift(self) -> float:
        """One standard deviation of the last published night's predictions."""
        return 1.0

    def mean_shift(self, means: Mapping[str, float], last: Mapping[str, float]) -> tuple[float, str]:
        """Return the difference of the means, in standard deviations of the last published night's predictions."""
        mean, was = means["prediction"], last["prediction"]
        deviation = math.sqrt(max(last["square"] - was**2, 0.0))
        shift = 0.0 if mean == was else math.inf if deviation == 0 else abs(mean - was) / deviation
        moved = f"the mean prediction is {mean:.4g}, it was {was:.4g} with a standard deviation of {deviation:.3g}"
        return shift, moved

    def _shaped(self, outputs: Outputs) -> Outputs:
        """Return outputs as rows x quantiles: engines return a single quantile as one number for each row."""
        quantiles = len(self.declared.quantiles)
        return outputs.reshape(len(outputs), quantiles) if quantiles else outputs


_LABEL = "CAST(label AS FLOAT)"
"""The label as training reads it."""
