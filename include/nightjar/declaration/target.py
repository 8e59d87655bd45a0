"""What a use case predicts, and the cost of errors. Standard library only."""

from __future__ import annotations

from dataclasses import dataclass

from nightjar.declaration.declared import Count, Declaration, Positive, PositiveShare, Text
from nightjar.declaration.tables import Column

DECISION = Column(
    "decision",
    "boolean",
    "Whether the prediction reaches the model's decision threshold, above which an alarm costs less than a miss; "
    "null for a model without a threshold.",
)


@dataclass(frozen=True, kw_only=True)
class Cost(Declaration):
    """Cost of errors, from which the decision threshold follows.

    Attributes:
        missed: Cost of a false negative.
        false_alarm: Cost of a false positive.
        unit: Unit of both.
    """

    missed: Positive
    false_alarm: Positive
    unit: Text = "USD"

    @property
    def threshold(self) -> float:
        """Probability above which an alarm costs less than a miss, with correct decisions free.

        Source: Elkan, 2001, The foundations of cost-sensitive learning.
        """
        return self.false_alarm / (self.missed + self.false_alarm)


@dataclass(frozen=True, kw_only=True)
class Target(Declaration):
    """What is predicted.

    Attributes:
        label: Meaning of the label column, ``label`` in ``labels/<name>`` (1.0, 0.0 or null).
        prediction: Meaning of the prediction column.
        cost: Cost of errors; None for a use case without a decision threshold.
        label_horizon_nights: Nights from the night of the features to the night on which their label lands: the label
            with ``ds`` N + ``label_horizon_nights`` and the same key belongs to the features of night N. 1 for an
            outcome of the following day; 30 for "did the customer leave within 30 days?".
        min_matched_share: Minimum share of a training interval's labels that find their features, of all labels as well
            as of the labels of each value alone. Labels of the first ``label_horizon_nights`` nights of the interval,
            and of the feature table, do not count. With fewer, freezing the training set stops: the horizon is wrong,
            or features of whole nights or groups are missing.
    """

    label: Text
    prediction: Text
    cost: Cost | None = None
    label_horizon_nights: Count = 1
    min_matched_share: PositiveShare = 0.8
