"""What a use case predicts, in words. Standard library only."""

from __future__ import annotations

from dataclasses import dataclass

from nightjar.declaration.declared import Count, Declaration, PositiveShare, Text


@dataclass(frozen=True, kw_only=True)
class Target(Declaration):
    """What is predicted, in words; its type is the use case's ``problem``.

    Attributes:
        label: Meaning of the label column, ``label`` in ``labels/<name>``; null means that there is none.
        prediction: Meaning of the prediction column.
        label_horizon_nights: Nights from the night of the features to the night on which their label lands: the label
            with ``ds`` N + ``label_horizon_nights`` and the same key belongs to the features of night N. 1 for an
            outcome of the following day; 30 for "did the customer leave within 30 days?".
        min_matched_share: Minimum share of a training interval's labels that find their features, of all labels as well
            as of the labels of each group alone (a class, or positive and negative numbers). Labels of the first
            ``label_horizon_nights`` nights of the interval, and of the feature table, do not count. With fewer,
            freezing the training set stops: the horizon is wrong, or features of whole nights or groups are missing.
    """

    label: Text
    prediction: Text
    label_horizon_nights: Count = 1
    min_matched_share: PositiveShare = 0.8
