"""The functions that a problem type provides; :mod:`nightjar.problems.registry` finds them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    from nightjar.declaration.quality import QualityMetric
    from nightjar.problems.arrays import Labels, Outputs, SumOverRanks
    from nightjar.problems.calibrators import Calibrator


class ProblemType(Protocol):
    """What training, evaluation and scoring need to know of a problem type. Numpy and Arrow only."""

    # Labels

    @property
    def valid_label(self) -> str:
        """SQL condition of a label that is allowed; a null is never one."""

    @property
    def label_counts(self) -> Mapping[str, str]:
        """Name of a group of labels to its SQL condition. Rows of each group are counted by day; counts add up."""

    def count_labels(self, labels: Labels) -> dict[str, int]:
        """Count labels by the groups of :attr:`label_counts`."""

    @property
    def is_grouped(self) -> bool:
        """Whether rows are compared within groups; encoded labels then tell which rows are the first of a group."""

    @property
    def label_inputs(self) -> tuple[str, ...]:
        """Columns of the feature table, besides the key, that :meth:`encode_labels` reads."""

    def encode_labels(self, rows: pa.Table) -> NDArray[np.float64]:
        """Return the labels of rows as numbers, in the form of :data:`nightjar.problems.arrays.Labels`.

        Args:
            rows: The rows of one label day, sorted by key: the key, :attr:`label_inputs` and ``label``. All labels are
                valid, none is null.
        """

    def obstacle_to_training(self, rows: int, counts: Mapping[str, int]) -> str:
        """Return why a split with these labels cannot be trained on; empty if it can."""

    def obstacle_to_measuring(self, rows: int, counts: Mapping[str, int]) -> str:
        """Return why a validation or holdout split with these labels cannot be judged by; empty if it can."""

    # Training

    @property
    def units(self) -> int:
        """Numbers that a model predicts for each row; with 1, outputs have one dimension."""

    def boosting_params(self) -> dict[str, Any]:
        """Return XGBoost's parameters of the problem: its objective and what belongs to it."""

    def validation_metric(self, decisive: str) -> QualityMetric:
        """Return the metric that training watches: the decisive one, if sums over rows give it, else the loss."""

    def validation_sums(self, metric: str, labels: Labels, outputs: Outputs) -> NDArray[Any]:
        """Return a vector of sums over rows, from which :meth:`validation_value` computes the metric."""

    def validation_value(self, metric: str, sums: NDArray[Any]) -> float:
        """Return the metric of the rows whose sums were added up."""

    def fit_weights(
        self, labels: Labels, outputs: Sequence[Outputs], sum_over_ranks: SumOverRanks
    ) -> tuple[float, ...]:
        """Return the weight of each member, adding up to 1, that suits the rows of all ranks best."""

    def blend(self, outputs: Sequence[Outputs], weights: Sequence[float]) -> Outputs:
        """Return the members' common output, row by row."""

    def fit_calibrator(
        self, method: str, labels: Labels, outputs: Outputs, cut: int, sum_over_ranks: SumOverRanks
    ) -> tuple[Calibrator, dict[str, float]]:
        """Fit a calibrator to the rows of all ranks.

        Args:
            method: As declared in ``Training.calibration``; ``best`` compares methods on the later rows.
            labels: Labels of this rank's validation rows, in the order of days.
            outputs: The members' common output for these rows.
            cut: Number of this rank's rows that belong to the earlier half of the validation days.
            sum_over_ranks: Adds arrays over the ranks.

        Returns:
            The calibrator, and each method's loss on the later days; empty when methods were not compared.
        """

    def fit_threshold(self, labels: Labels, outputs: Outputs, sum_over_ranks: SumOverRanks) -> float | None:
        """Return the decision threshold for calibrated outputs of the validation rows of all ranks; None without one.

        Raises:
            TrainingError: when no threshold does what is declared; on all ranks.
        """

    def with_threshold(self, threshold: float | None) -> ProblemType:
        """Return the problem type that decides by a model's fitted threshold."""

    # Evaluation and scoring

    def measure(self, labels: Labels, outputs: Outputs) -> dict[str, float]:
        """Return all metrics of the declaration, ``rows``, and the groups of :meth:`count_labels`.

        Raises:
            GateError: when they cannot be measured on these rows.
        """

    def compare(self, metrics: Mapping[str, float], baselines: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
        """Return the metrics of a model that follow from those of :meth:`measure` and of the baselines.

        Args:
            metrics: Metrics of the model.
            baselines: Name of each baseline to its metrics on the same rows.
        """

    def columns(self, outputs: Outputs) -> dict[str, pa.Array]:
        """Return the columns of the score table that hold the prediction and the decision."""

    # The audit of a night's scores

    @property
    def audit_columns(self) -> tuple[str, ...]:
        """Columns of the score table that the audit reads."""

    @property
    def out_of_range(self) -> str:
        """What is wrong with rows that :meth:`count_out_of_range` counts."""

    def count_out_of_range(self, scores: pa.RecordBatch) -> int:
        """Count rows whose prediction is outside of its range."""

    def sums(self, scores: pa.RecordBatch | pa.Table) -> dict[str, float]:
        """Return sums over rows, whose means the audit compares with those of the last published night."""

    @property
    def max_mean_shift(self) -> float:
        """Largest shift of the means, unless the use case declares another."""

    def mean_shift(self, means: Mapping[str, float], last: Mapping[str, float]) -> tuple[float, str]:
        """Return how far the means are from those of the last published night, and what moved, in words."""
