"""What an engine trains on, in one object."""

from __future__ import annotations

from dataclasses import dataclass

from nightjar.problems.binary.problem import POSITIVES
from nightjar.training.data.shards import Shard
from nightjar.training.data.training_set import TrainingSet
from nightjar.training.distributed.checkpoint import Checkpoints
from nightjar.training.distributed.progress import Progress
from nightjar.training.distributed.rendezvous import Group
from nightjar.training.engines.member import Member
from nightjar.training.engines.validation import ValidationMetric
from nightjar.training.model import TabularModel


@dataclass(frozen=True, kw_only=True)
class TrainingContext:
    """What an engine trains on, on one rank; every rank has its own.

    Attributes:
        train: This rank's rows to fit.
        validation: This rank's rows for early stopping, and for the weights and the calibration of members.
        training_set: Features, seed and recipe.
        group: The ranks.
        threads: Threads of this rank.
        progress: Receives each round or epoch.
        checkpoints: Checkpoints to resume from and to save; None disables them.
        base: Model that the training continues (warm start); None for a training without one.
        start: Member that the engine continues, one of the base; None to train from the start.
    """

    train: Shard
    validation: Shard
    training_set: TrainingSet
    group: Group
    threads: int
    progress: Progress
    checkpoints: Checkpoints | None = None
    base: TabularModel | None = None
    start: Member | None = None

    @property
    def metric(self) -> ValidationMetric:
        """The metric that this training watches on the validation days."""
        return ValidationMetric.of(self.training_set.recipe)

    def event_weight(self) -> float:
        """Return the weight that balances the classes, negatives per positive, or 1; all ranks call it.

        It is XGBoost's ``scale_pos_weight`` and the network's ``pos_weight``.
        """
        if not self.training_set.recipe.balance_classes:
            return 1.0
        counts = self.group.exchange([self.train.rows, self.train.labels[POSITIVES]])
        rows, positives = (sum(count[i] for count in counts) for i in (0, 1))
        return float((rows - positives) / positives)
