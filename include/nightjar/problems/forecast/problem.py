"""Forecasts, as training, evaluation and scoring see them: quantiles of a number for each series and step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from nightjar.declaration.forecast import SERIES_SCALE, STEP, TARGET_DATE, Forecast
from nightjar.declaration.problem import regression_of
from nightjar.declaration.quality import QualityMetric
from nightjar.problems.arrays import targets
from nightjar.problems.forecast.metrics import BY_SUMS, all_metrics, ratio, ratio_sums
from nightjar.problems.regression.calibration import Offsets
from nightjar.problems.regression.metrics import check_outputs
from nightjar.problems.regression.problem import NEGATIVE, POSITIVE, RegressionProblem
from nightjar.problems.shared import WithoutSkill, WithoutThreshold

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from nightjar.problems.arrays import Labels, Outputs, SumOverRanks
    from nightjar.problems.calibrators import Calibrator


@dataclass(frozen=True)
class ForecastProblem(WithoutThreshold, WithoutSkill):
    """See :class:`nightjar.problems.problem_type.ProblemType`. Outputs are rows x quantiles.

    What does not depend on series and steps is that of a regression with the same quantiles.
    """

    is_grouped: ClassVar[bool] = False

    declared: Forecast

    @cached_property
    def quantiles(self) -> RegressionProblem:
        """The regression with the same quantiles and costs."""
        return RegressionProblem(regression_of(self.declared))

    @property
    def label_inputs(self) -> tuple[str, ...]:
        """The series' scale, the day, and the levels of the hierarchy."""
        return (SERIES_SCALE.name, TARGET_DATE.name, *self.declared.hierarchy)

    @property
    def valid_label(self) -> str:
        """Labels are finite, and at least 0 when values are."""
        finite = self.quantiles.valid_label
        return f"{finite} AND label >= 0" if self.declared.nonnegative else finite

    @property
    def label_counts(self) -> Mapping[str, str]:
        """Positive and negative labels are counted; the others are 0."""
        return self.quantiles.label_counts

    def count_labels(self, labels: Labels) -> dict[str, int]:
        """Count positive and negative labels."""
        return self.quantiles.count_labels(targets(labels))

    def encode_labels(self, rows: pa.Table) -> NDArray[np.float64]:
        """Return labels with what :class:`Position` names, and the group of each level below the total."""
        import pyarrow as pa

        days = rows[TARGET_DATE.name].cast(pa.int32())
        columns = [rows["label"], rows[SERIES_SCALE.name], rows[STEP.name], days]
        encoded = [column.to_numpy().astype(np.float64) for column in columns]
        groups = [self._groups(rows, level) for level in range(1, len(self.declared.levels))]
        return np.stack([*encoded, *groups], axis=1)

    def _groups(self, rows: pa.Table, level: int) -> NDArray[np.float64]:
        """Return the number of each row's group at a level: rows with the same values down to it."""
        import pyarrow as pa
        import pyarrow.compute as pc

        values = [rows[name].cast(pa.string()) for name in self.declared.hierarchy[:level]]
        joined = pc.binary_join_element_wise(*values, "\x1f", null_handling="replace", null_replacement="\x00")
        groups: NDArray[np.float64] = joined.combine_chunks().dictionary_encode().indices.to_numpy().astype(np.float64)
        return groups

    def obstacle_to_training(self, rows: int, counts: Mapping[str, int]) -> str:
        """There must be a value other than 0: errors are measured relative to the values."""
        return self.obstacle_to_measuring(rows, counts)

    def obstacle_to_measuring(self, rows: int, counts: Mapping[str, int]) -> str:
        """There must be a value other than 0."""
        if not rows:
            return "no labels"
        return "" if counts[POSITIVE] or counts[NEGATIVE] else f"no signal: all {rows} labels are 0"

    @property
    def units(self) -> int:
        """A number for each quantile."""
        return len(self.declared.quantiles)

    def boosting_params(self) -> dict[str, Any]:
        """Return the pinball loss of the quantiles."""
        return self.quantiles.boosting_params()

    def validation_metric(self, decisive: str) -> QualityMetric:
        """Return the decisive metric if it is a ratio of sums, else the weighted quantile loss."""
        return self.declared.metrics[decisive if decisive in BY_SUMS else "wql"]

    def validation_sums(self, metric: str, labels: Labels, outputs: Outputs) -> NDArray[Any]:
        """Return numerator and denominator of the metric."""
        return ratio_sums(metric, labels, self._limited(outputs), self.declared)

    def validation_value(self, metric: str, sums: NDArray[Any]) -> float:
        """Return the ratio of the sums."""
        return ratio(sums)

    def fit_weights(
        self, labels: Labels, outputs: Sequence[Outputs], sum_over_ranks: SumOverRanks
    ) -> tuple[float, ...]:
        """Minimize the pinball loss, to which the weighted quantile loss is proportional."""
        return self.quantiles.fit_weights(targets(labels), [self._limited(o) for o in outputs], sum_over_ranks)

    def blend(self, outputs: Sequence[Outputs], weights: Sequence[float]) -> Outputs:
        """Return the weighted mean of the members' quantiles, which ascend in each row."""
        return self._limited(self.quantiles.blend(outputs, weights))

    def fit_calibrator(
        self, method: str, labels: Labels, outputs: Outputs, cut: int, sum_over_ranks: SumOverRanks
    ) -> tuple[Calibrator, dict[str, float]]:
        """Fit an offset for each quantile, the same for all steps."""
        calibrator, losses = self.quantiles.fit_calibrator(method, targets(labels), outputs, cut, sum_over_ranks)
        if self.declared.nonnegative and isinstance(calibrator, Offsets):
            return replace(calibrator, minimum=0.0), losses
        return calibrator, losses

    def measure(self, labels: Labels, outputs: Outputs) -> dict[str, float]:
        """Return the metrics of all rows, by step and by level, and the labels by group."""
        check_outputs(labels, outputs, self.quantiles.declared)
        counts = {name: float(count) for name, count in self.count_labels(labels).items()}
        return all_metrics(labels, outputs, self.declared) | counts

    def columns(self, outputs: Outputs) -> dict[str, pa.Array]:
        """Return the prediction, the quantiles, and the number with the lowest expected cost."""
        return self.quantiles.columns(outputs)

    @property
    def audit_columns(self) -> tuple[str, ...]:
        """The prediction and the quantiles."""
        return self.quantiles.audit_columns

    @property
    def out_of_range(self) -> str:
        """Predictions are finite and, when values are, at least 0; quantiles ascend."""
        below = ", below 0" if self.declared.nonnegative else ""
        return f"predictions are not finite{below}, or their quantiles do not ascend"

    def count_out_of_range(self, scores: pa.RecordBatch) -> int:
        """Count rows with a prediction or quantile that is not allowed, or with quantiles that do not ascend."""
        predicted = [scores.column(name).to_numpy(zero_copy_only=False) for name in self.audit_columns]
        rows = np.stack(predicted, axis=1)
        is_right = np.isfinite(rows).all(axis=1) & (np.diff(rows[:, 1:], axis=1) >= 0).all(axis=1)
        if self.declared.nonnegative:
            is_right &= (rows >= 0).all(axis=1)
        return int(np.count_nonzero(~is_right))

    def sums(self, scores: pa.RecordBatch | pa.Table) -> dict[str, float]:
        """Return the sums of the predictions and of their squares."""
        return self.quantiles.sums(scores)

    @property
    def max_mean_shift(self) -> float:
        """One standard deviation of the last published night's predictions."""
        return self.quantiles.max_mean_shift

    def mean_shift(self, means: Mapping[str, float], last: Mapping[str, float]) -> tuple[float, str]:
        """Return the difference of the means, in standard deviations of the last published night's predictions."""
        return self.quantiles.mean_shift(means, last)

    def _limited(self, outputs: Outputs) -> Outputs:
        """Return quantiles as rows x quantiles, at least 0 when values are."""
        shaped = outputs.reshape(len(outputs), len(self.declared.quantiles))
        return np.maximum(shaped, 0.0) if self.declared.nonnegative else shaped
