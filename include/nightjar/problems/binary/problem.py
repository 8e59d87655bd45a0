"""Yes/no questions, as training, evaluation and scoring see them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from nightjar.declaration.alarms import Capacity, Recall
from nightjar.declaration.problem import Binary
from nightjar.declaration.quality import QualityMetric
from nightjar.declaration.quantiles import DECISION
from nightjar.problems.arrays import group_ids, targets
from nightjar.problems.binary import calibration
from nightjar.problems.binary.calibration import Calibrator
from nightjar.problems.binary.metrics import (
    all_metrics,
    auc_counts,
    auc_of_counts,
    average_precision_of_counts,
    decision_metrics,
    highest_of_groups,
    losses_of_rows,
    threshold_of_precision,
    threshold_of_recall,
)
from nightjar.problems.blending import weighted_mean
from nightjar.problems.mixture import weights_of_mixture
from nightjar.problems.shared import WithoutSkill
from nightjar.protocol.errors import TrainingError

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from nightjar.problems.arrays import Labels, Outputs, SumOverRanks

POSITIVES = "positives"
_BY_COUNTS = {"auc": auc_of_counts, "pr_auc": average_precision_of_counts}
_BY_MEAN = ("log_loss", "brier")


@dataclass(frozen=True)
class BinaryProblem(WithoutSkill):
    """See :class:`nightjar.problems.problem_type.ProblemType`. Outputs are one probability for each row.

    Encoded labels have a second column for alarms by capacity: 1 for the first row of a day, else 0.

    Attributes:
        declared: The problem.
        threshold: Decision threshold that a model's training has fitted; None without one.
    """

    is_grouped: ClassVar[bool] = False
    label_inputs: ClassVar[tuple[str, ...]] = ()

    declared: Binary
    threshold: float | None = None

    @property
    def valid_label(self) -> str:
        """Labels are 0 or 1."""
        return "label IN (0.0, 1.0)"

    @property
    def label_counts(self) -> Mapping[str, str]:
        """Positives are counted."""
        return {POSITIVES: "label = 1.0"}

    def count_labels(self, labels: Labels) -> dict[str, int]:
        """Count the positives."""
        return {POSITIVES: int(targets(labels).sum())}

    def encode_labels(self, rows: pa.Table) -> NDArray[np.float64]:
        """Return the labels; for alarms by capacity with the first row of the day."""
        encoded: NDArray[np.float64] = rows["label"].to_numpy()
        if not isinstance(self.declared.alarms, Capacity):
            return encoded
        return np.stack([encoded, np.arange(len(encoded)) == 0], axis=1)

    def obstacle_to_training(self, rows: int, counts: Mapping[str, int]) -> str:
        """Both classes must occur."""
        if counts[POSITIVES] not in (0, rows):
            return ""
        return f"one class only: {counts[POSITIVES]} of {rows} labels are 1"

    def obstacle_to_measuring(self, rows: int, counts: Mapping[str, int]) -> str:
        """Both classes must occur."""
        return self.obstacle_to_training(rows, counts)

    @property
    def units(self) -> int:
        """A probability."""
        return 1

    def boosting_params(self) -> dict[str, Any]:
        """Return the objective, whose output is a probability."""
        return {"objective": self.declared.objective}

    def validation_metric(self, decisive: str) -> QualityMetric:
        """AUC, average precision, log loss or Brier score; decisions need calibrated probabilities, so log loss."""
        return self.declared.metrics[decisive if decisive in (*_BY_COUNTS, *_BY_MEAN) else "log_loss"]

    def validation_sums(self, metric: str, labels: Labels, outputs: Outputs) -> NDArray[Any]:
        """Return counts by bin and label, or the sum of the rows' losses and their number."""
        of_rows = targets(labels)
        if metric in _BY_COUNTS:
            return auc_counts(of_rows, outputs).ravel()
        return np.array([losses_of_rows(metric, of_rows, outputs).sum(), len(labels)], dtype=np.float64)

    def validation_value(self, metric: str, sums: NDArray[Any]) -> float:
        """Return the metric of summed counts or losses."""
        if metric in _BY_COUNTS:
            return _BY_COUNTS[metric](sums.reshape(2, -1))
        return float(sums[0] / sums[1])

    def fit_weights(
        self, labels: Labels, outputs: Sequence[Outputs], sum_over_ranks: SumOverRanks
    ) -> tuple[float, ...]:
        """Minimize the log loss of the members' mean."""
        likelihoods = np.stack([np.where(targets(labels) == 1, prediction, 1 - prediction) for prediction in outputs])
        return weights_of_mixture(likelihoods, sum_over_ranks)

    def blend(self, outputs: Sequence[Outputs], weights: Sequence[float]) -> Outputs:
        """Return the weighted mean of the members' probabilities."""
        return weighted_mean(outputs, weights)

    def fit_calibrator(
        self, method: str, labels: Labels, outputs: Outputs, cut: int, sum_over_ranks: SumOverRanks
    ) -> tuple[Calibrator, dict[str, float]]:
        """Fit Platt's or an isotonic calibration to counts by bin."""
        parts = [auc_counts(targets(labels)[part], outputs[part]) for part in (slice(cut), slice(cut, None))]
        earlier, later = sum_over_ranks(np.stack(parts))
        return calibration.fit(method, earlier, later)

    def fit_threshold(self, labels: Labels, outputs: Outputs, sum_over_ranks: SumOverRanks) -> float | None:
        """Return the threshold that gives the declared precision or recall."""
        alarms = self.declared.alarms
        if alarms is None or isinstance(alarms, Capacity):
            return None
        counts = sum_over_ranks(auc_counts(targets(labels), outputs))
        if isinstance(alarms, Recall):
            return threshold_of_recall(counts, alarms.at_least)
        threshold, highest = threshold_of_precision(counts, alarms.at_least)
        if threshold is None:
            raise TrainingError(
                f"no threshold has a precision of {alarms.at_least:g} on the validation days; the highest is "
                f"{highest:.3f}",
                where="problem.alarms of the use case, Precision",
                fix="ask for less, or alarm by Recall or Capacity",
            )
        return threshold

    def with_threshold(self, threshold: float | None) -> BinaryProblem:
        """Return the problem type that decides by a model's fitted threshold."""
        return replace(self, threshold=threshold)

    @property
    def _threshold(self) -> float | None:
        """The fitted threshold, or that of the costs; None without either, and for alarms by capacity."""
        if self.declared.alarms is not None or self.declared.cost is None:
            return self.threshold
        return self.declared.cost.threshold

    def measure(self, labels: Labels, outputs: Outputs) -> dict[str, float]:
        """Return the metrics of probabilities and of the decisions."""
        of_rows, declared = targets(labels), self.declared
        measured = all_metrics(of_rows, outputs)
        if isinstance(declared.alarms, Capacity):
            alarm = highest_of_groups(outputs, group_ids(labels), declared.alarms.rows)
        elif (threshold := self._threshold) is not None:
            alarm = outputs >= threshold
        else:
            return measured
        return measured | decision_metrics(of_rows, alarm, declared.cost)

    def columns(self, outputs: Outputs) -> dict[str, pa.Array]:
        """Return the probability, and the decision at the threshold; null for alarms by capacity, of whole nights."""
        import pyarrow as pa

        threshold = self._threshold
        return {
            "prediction": pa.array(outputs, pa.float64()),
            DECISION: pa.nulls(len(outputs), pa.bool_()) if threshold is None else pa.array(outputs >= threshold),
        }

    @property
    def audit_columns(self) -> tuple[str, ...]:
        """The probability."""
        return ("prediction",)

    @property
    def out_of_range(self) -> str:
        """Probabilities lie within 0 and 1."""
        return "predictions are outside 0 to 1"

    def count_out_of_range(self, scores: pa.RecordBatch) -> int:
        """Count probabilities below 0 or above 1, and nulls."""
        import pyarrow.compute as pc

        prediction = scores.column("prediction")
        within = pc.and_(pc.greater_equal(prediction, 0.0), pc.less_equal(prediction, 1.0))
        return int(scores.num_rows - (pc.sum(within).as_py() or 0))

    def sums(self, scores: pa.RecordBatch | pa.Table) -> dict[str, float]:
        """Return the sum of the probabilities."""
        import pyarrow.compute as pc

        return {"prediction": pc.sum(scores.column("prediction")).as_py() or 0.0}

    @property
    def max_mean_shift(self) -> float:
        """A quarter of the range."""
        return 0.25

    def mean_shift(self, means: Mapping[str, float], last: Mapping[str, float]) -> tuple[float, str]:
        """Return the difference of the mean probabilities."""
        mean, was = means["prediction"], last["prediction"]
        return abs(mean - was), f"the mean prediction is {mean:.3f}, it was {was:.3f}"
