"""One of several classes, as training, evaluation and scoring see it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from nightjar.declaration.problem import Multiclass
from nightjar.declaration.quality import QualityMetric
from nightjar.declaration.quantiles import DECISION
from nightjar.problems.blending import weighted_mean
from nightjar.problems.mixture import weights_of_mixture
from nightjar.problems.multiclass import calibration
from nightjar.problems.multiclass.metrics import (
    SUM_TOLERANCE,
    all_metrics,
    cost_matrix,
    decide,
    likelihoods_of,
    losses_of_rows,
    most_probable,
    positions_of,
)
from nightjar.problems.shared import WithoutSkill, WithoutThreshold
from nightjar.protocol.errors import GateError

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from nightjar.problems.arrays import Labels, Outputs, SumOverRanks
    from nightjar.problems.calibrators import Calibrator

_BY_MEAN = ("log_loss", "accuracy")


@dataclass(frozen=True)
class MulticlassProblem(WithoutThreshold, WithoutSkill):
    """See :class:`nightjar.problems.problem_type.ProblemType`. Outputs are probabilities, rows x classes.

    A label in training is the position of its class.
    """

    is_grouped: ClassVar[bool] = False
    label_inputs: ClassVar[tuple[str, ...]] = ()

    declared: Multiclass

    @property
    def valid_label(self) -> str:
        """Labels are declared classes."""
        return f"label IN ({', '.join(map(_sql_text, self.declared.classes))})"

    @property
    def label_counts(self) -> Mapping[str, str]:
        """Each class is counted."""
        groups = zip(self.declared.label_groups, self.declared.classes, strict=True)
        return {group: f"label = {_sql_text(name)}" for group, name in groups}

    def count_labels(self, labels: Labels) -> dict[str, int]:
        """Count the rows of each class."""
        counts = np.bincount(positions_of(labels), minlength=len(self.declared.classes))
        return dict(zip(self.declared.label_groups, counts.tolist(), strict=True))

    def encode_labels(self, rows: pa.Table) -> NDArray[np.float64]:
        """Return the position of each label's class.

        Raises:
            GateError: when a label is not a declared class.
        """
        import pyarrow as pa
        import pyarrow.compute as pc

        positions = pc.index_in(rows["label"].cast(pa.string()), value_set=pa.array(self.declared.classes, pa.string()))
        if positions.null_count:
            raise GateError(
                f"{positions.null_count} of {len(positions)} labels are not declared classes",
                where="the column label",
                how_many=positions.null_count,
                fix=f"give labels of Multiclass.classes ({', '.join(self.declared.classes)}), or declare the class",
            )
        encoded: NDArray[np.float64] = positions.to_numpy().astype(np.float64)
        return encoded

    def obstacle_to_training(self, rows: int, counts: Mapping[str, int]) -> str:
        """Each class must occur."""
        missing = sorted(set(self.declared.classes).difference(self._occurring(counts)))
        return f"classes without a label: {', '.join(missing)}, among {rows} labels" if missing else ""

    def obstacle_to_measuring(self, rows: int, counts: Mapping[str, int]) -> str:
        """At least two classes must occur; metrics are over those that do."""
        occurring = self._occurring(counts)
        if len(occurring) > 1:
            return ""
        return f"fewer than two classes: {rows} labels are {' or '.join(occurring) or 'none'}"

    @property
    def units(self) -> int:
        """A probability of each class."""
        return len(self.declared.classes)

    def boosting_params(self) -> dict[str, Any]:
        """Return the objective, whose outputs are probabilities, and the number of classes."""
        return {"objective": self.declared.objective, "num_class": len(self.declared.classes)}

    def validation_metric(self, decisive: str) -> QualityMetric:
        """Log loss or accuracy; all others need more than sums over rows, or calibrated probabilities: log loss."""
        return self.declared.metrics[decisive if decisive in _BY_MEAN else "log_loss"]

    def validation_sums(self, metric: str, labels: Labels, outputs: Outputs) -> NDArray[Any]:
        """Return the sum of the rows' losses, or of right classes, and the number of rows."""
        if metric == "accuracy":
            values: NDArray[Any] = most_probable(outputs) == labels
        else:
            values = losses_of_rows(labels, outputs)
        return np.array([values.sum(), len(labels)], dtype=np.float64)

    def validation_value(self, metric: str, sums: NDArray[Any]) -> float:
        """Return the mean."""
        return float(sums[0] / sums[1])

    def fit_weights(
        self, labels: Labels, outputs: Sequence[Outputs], sum_over_ranks: SumOverRanks
    ) -> tuple[float, ...]:
        """Minimize the log loss of the members' mean."""
        likelihoods = np.stack([likelihoods_of(labels, probabilities) for probabilities in outputs])
        return weights_of_mixture(likelihoods, sum_over_ranks)

    def blend(self, outputs: Sequence[Outputs], weights: Sequence[float]) -> Outputs:
        """Return the weighted mean of the members' probabilities."""
        return weighted_mean(outputs, weights)

    def fit_calibrator(
        self, method: str, labels: Labels, outputs: Outputs, cut: int, sum_over_ranks: SumOverRanks
    ) -> tuple[Calibrator, dict[str, float]]:
        """Fit a temperature."""
        return calibration.fit(method, labels, outputs, cut, sum_over_ranks)

    def measure(self, labels: Labels, outputs: Outputs) -> dict[str, float]:
        """Return the metrics of probabilities and, with costs, of decisions; macro metrics over occurring classes."""
        counts = {name: float(count) for name, count in self.count_labels(labels).items()}
        return all_metrics(labels, outputs, self.declared) | counts

    def columns(self, outputs: Outputs) -> dict[str, pa.Array]:
        """Return the most probable class, each class's probability, and the class with the lowest expected cost."""
        import pyarrow as pa

        costs = cost_matrix(self.declared)
        return {
            "prediction": self._names(most_probable(outputs)),
            **{
                column: pa.array(outputs[:, position], pa.float64())
                for position, column in enumerate(self.declared.probability_columns)
            },
            DECISION: pa.nulls(len(outputs), pa.string()) if costs is None else self._names(decide(outputs, costs)),
        }

    @property
    def audit_columns(self) -> tuple[str, ...]:
        """The probabilities of the classes."""
        return self.declared.probability_columns

    @property
    def out_of_range(self) -> str:
        """Probabilities lie within 0 and 1, and add up to 1."""
        return "probabilities are outside 0 to 1, or do not add up to 1"

    def count_out_of_range(self, scores: pa.RecordBatch) -> int:
        """Count rows with a probability below 0 or above 1, with a null, or whose probabilities do not add up to 1."""
        columns = [scores.column(name).to_numpy(zero_copy_only=False) for name in self.audit_columns]
        probabilities = np.stack(columns, axis=1)
        within = ((probabilities >= 0) & (probabilities <= 1)).all(axis=1)
        adds_up = np.abs(probabilities.sum(axis=1) - 1) <= SUM_TOLERANCE
        return int(np.count_nonzero(~(within & adds_up)))

    def sums(self, scores: pa.RecordBatch | pa.Table) -> dict[str, float]:
        """Return the sum of each class's probability."""
        import pyarrow.compute as pc

        return {name: pc.sum(scores.column(name)).as_py() or 0.0 for name in self.audit_columns}

    @property
    def max_mean_shift(self) -> float:
        """A quarter of the range."""
        return 0.25

    def mean_shift(self, means: Mapping[str, float], last: Mapping[str, float]) -> tuple[float, str]:
        """Return the largest difference of a class's mean probability."""
        name = max(means, key=lambda column: abs(means[column] - last[column]))
        return abs(means[name] - last[name]), f"the mean of {name} is {means[name]:.3f}, it was {last[name]:.3f}"

    def _occurring(self, counts: Mapping[str, int]) -> list[str]:
        """Return the classes that have labels."""
        groups = zip(self.declared.label_groups, self.declared.classes, strict=True)
        return [name for group, name in groups if counts[group]]

    def _names(self, positions: NDArray[np.int64]) -> pa.Array:
        import pyarrow as pa

        return pa.array(self.declared.classes, pa.string()).take(pa.array(positions))


def _sql_text(value: str) -> str:
    """Return a string literal of Spark SQL."""
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
