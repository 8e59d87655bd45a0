"""Rankings, as training, evaluation and scoring see them: a score for each item, compared within its group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from nightjar.declaration.quality import QualityMetric
from nightjar.declaration.ranking import RANK, Ranking
from nightjar.problems.arrays import group_ids, targets
from nightjar.problems.binary.calibration import Calibrator as Identity
from nightjar.problems.blending import weighted_mean
from nightjar.problems.ranking.metrics import (
    BY_GROUP,
    MAX_RELEVANCE,
    group_sums,
    halves_of,
    hash_items,
    item_numbers,
    measure_catalogue,
    measure_groups,
    ranks_of,
)
from nightjar.problems.shared import WithoutSkill, WithoutThreshold
from nightjar.protocol.errors import GateError

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from nightjar.problems.arrays import Labels, Outputs, SumOverRanks
    from nightjar.problems.calibrators import Calibrator

RELEVANT = "relevant"


@dataclass(frozen=True)
class RankingProblem(WithoutThreshold, WithoutSkill):
    """See :class:`nightjar.problems.problem_type.ProblemType`. Outputs are one score for each row."""

    is_grouped: ClassVar[bool] = True
    label_inputs: ClassVar[tuple[str, ...]] = ()

    declared: Ranking

    @property
    def valid_label(self) -> str:
        """Relevances lie between 0 and :data:`MAX_RELEVANCE`."""
        return f"label >= 0 AND label <= {MAX_RELEVANCE}"

    @property
    def label_counts(self) -> Mapping[str, str]:
        """Relevant items are counted; the others have relevance 0."""
        return {RELEVANT: "CAST(label AS FLOAT) > 0"}

    def count_labels(self, labels: Labels) -> dict[str, int]:
        """Count relevant items."""
        return {RELEVANT: int((targets(labels).astype(np.float32) > 0).sum())}

    def encode_labels(self, rows: pa.Table) -> NDArray[np.float64]:
        """Return relevances, which rows are the first of their group (rows are sorted by it), and items."""
        import pyarrow.compute as pc

        is_first = np.zeros(rows.num_rows, bool)
        is_first[:1] = True
        for name in self.declared.group:
            column = rows[name].combine_chunks()
            differs = pc.not_equal(column.slice(1), column.slice(0, max(len(column) - 1, 0)))
            is_first[1:] |= differs.to_numpy(zero_copy_only=False)
        relevances = rows["label"].to_numpy().astype(np.float64)
        return np.column_stack([relevances, is_first.astype(np.float64), halves_of(self._items(rows))])

    def _items(self, rows: pa.Table) -> NDArray[np.int64]:
        """Return the number of each row's item."""
        import pyarrow as pa
        import pyarrow.compute as pc

        parts = [pc.cast(rows[name], pa.string()) for name in self.declared.item]
        keys = pc.binary_join_element_wise(*parts, "\x1f").combine_chunks().dictionary_encode()
        numbers: NDArray[np.int64] = hash_items(keys.dictionary.to_pylist())[keys.indices.to_numpy()]
        return numbers

    def obstacle_to_training(self, rows: int, counts: Mapping[str, int]) -> str:
        """There must be a relevant item."""
        return self.obstacle_to_measuring(rows, counts)

    def obstacle_to_measuring(self, rows: int, counts: Mapping[str, int]) -> str:
        """There must be a relevant item."""
        if not rows:
            return "no labels"
        return "" if counts[RELEVANT] else f"no signal: none of {rows} items is relevant"

    @property
    def units(self) -> int:
        """A score."""
        return 1

    def boosting_params(self) -> dict[str, Any]:
        """Return LambdaMART's objective, with pairs of the first ``k`` items."""
        return {
            "objective": self.declared.objective,
            "lambdarank_pair_method": "topk",
            "lambdarank_num_pair_per_sample": self.declared.k,
        }

    def validation_metric(self, decisive: str) -> QualityMetric:
        """Return the decisive metric: all that may be declared are means over groups."""
        return self.declared.metrics[decisive]

    def validation_sums(self, metric: str, labels: Labels, outputs: Outputs) -> NDArray[Any]:
        """Return the sum over groups and their number."""
        return group_sums(metric, labels, outputs, self.declared.k)

    def validation_value(self, metric: str, sums: NDArray[Any]) -> float:
        """Return the mean over groups; 0 without any."""
        return float(sums[0] / sums[1]) if sums[1] else 0.0

    def fit_weights(
        self, labels: Labels, outputs: Sequence[Outputs], sum_over_ranks: SumOverRanks
    ) -> tuple[float, ...]:
        """Weigh members by the inverse deviation of their scores within groups.

        Scores have no unit, and engines differ in their scale: so all members count alike.
        """
        groups = group_ids(labels)
        sizes = np.bincount(groups)
        squares = [float(((scores - (np.bincount(groups, scores) / sizes)[groups]) ** 2).sum()) for scores in outputs]
        deviations = np.sqrt(sum_over_ranks(np.array(squares)))
        inverse = np.divide(1, deviations, out=np.zeros_like(deviations), where=deviations > 0)
        if not inverse.any():  # all members are constant
            inverse = np.ones_like(inverse)
        return tuple((inverse / inverse.sum()).tolist())

    def blend(self, outputs: Sequence[Outputs], weights: Sequence[float]) -> Outputs:
        """Return the weighted mean of the members' scores."""
        return weighted_mean(outputs, weights)

    def fit_calibrator(
        self, method: str, labels: Labels, outputs: Outputs, cut: int, sum_over_ranks: SumOverRanks
    ) -> tuple[Calibrator, dict[str, float]]:
        """Scores are not calibrated: only their order counts."""
        return Identity(), {}

    def measure(self, labels: Labels, outputs: Outputs) -> dict[str, float]:
        """Return the metrics of the first ``k`` items, and the numbers of groups and items.

        Raises:
            GateError: when scores are not finite, or no group has a relevant item.
        """
        if wrong := int((~np.isfinite(outputs)).sum()):
            raise GateError("scores are not finite", where="holdout", how_many=wrong, fix="check the objective")
        groups = group_ids(labels)
        ranks = ranks_of(groups, outputs)
        found = measure_groups(targets(labels).astype(np.float64), groups, ranks, self.declared.k)
        measured = len(found.values["ndcg"])
        if not measured:
            raise GateError(
                "no group has a relevant item", where="holdout", how_many=found.without_relevant,
                fix="choose a holdout with relevant items",
            )  # fmt: skip
        _, items = np.unique(item_numbers(labels), return_inverse=True)
        rows_of_items = np.bincount(items)
        listed = np.bincount(items[ranks <= self.declared.k], minlength=len(rows_of_items))
        return {
            **{name: float(found.values[name].mean()) for name in BY_GROUP},
            **measure_catalogue(rows_of_items, listed),
            "items": float(len(rows_of_items)),
            "groups": float(measured),
            "groups_without_relevant": float(found.without_relevant),
            "rows": float(len(labels)),
            **{name: float(count) for name, count in self.count_labels(labels).items()},
        }

    def columns(self, outputs: Outputs) -> dict[str, pa.Array]:
        """Return the score; the rank is known when all items of the group are scored, and is 0 until then."""
        import pyarrow as pa

        return {
            "prediction": pa.array(outputs, pa.float64()),
            RANK.name: pa.array(np.zeros(len(outputs), np.int32), pa.int32()),
        }

    @property
    def audit_columns(self) -> tuple[str, ...]:
        """The score and the rank."""
        return ("prediction", RANK.name)

    @property
    def out_of_range(self) -> str:
        """Scores are finite, ranks at least 1."""
        return "scores are not finite, or items have no rank"

    def count_out_of_range(self, scores: pa.RecordBatch) -> int:
        """Count rows without a finite score or without a rank."""
        score, rank = (scores.column(name).to_numpy(zero_copy_only=False) for name in self.audit_columns)
        return int(np.count_nonzero(~(np.isfinite(score) & (rank >= 1))))

    def sums(self, scores: pa.RecordBatch | pa.Table) -> dict[str, float]:
        """Return nothing: scores of two models have no common unit."""
        return {}

    @property
    def max_mean_shift(self) -> float:
        """Nothing is compared."""
        return 0.0

    def mean_shift(self, means: Mapping[str, float], last: Mapping[str, float]) -> tuple[float, str]:
        """Return no shift."""
        return 0.0, "scores are not compared"
