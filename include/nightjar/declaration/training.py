"""How a model is trained: engines, tuning, feature selection and warm start. Standard library only."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

from nightjar.declaration.declared import (
    Bounds,
    Count,
    CountOrZero,
    Declaration,
    Positive,
    Probability,
    Share,
    Version,
    check_unique,
    refuse,
)
from nightjar.declaration.engines import ENGINES, Boosting, DeclaredEngine, Linear, Network, Statistical
from nightjar.declaration.resources import SMALL, Resources
from nightjar.declaration.rows import Rows
from nightjar.protocol.programs import FITTING_PROGRAMS

Calibration = Literal["none", "platt", "isotonic", "temperature", "conformal", "best"]
"""How model outputs become probabilities, or quantiles that hold; ``best`` chooses on the validation days.

``platt`` and ``isotonic`` are for binary problems, ``temperature`` for multiclass problems, and ``conformal`` for the
quantiles of regressions."""
Compression = Literal["int8", "pruned", "distilled"]
"""``int8``: network weights quantized to 8 bits. ``pruned``: smallest weights removed. ``distilled``: one small booster
trained on the whole model's predictions."""
RESERVED_NAMES = frozenset(
    {"baseline", "constant", "seasonal_naive", "ets", "popularity", "last_seen", "full", "champion", "distilled"}
)
"""Names under which baselines and models of a training are measured."""


@dataclass(frozen=True, kw_only=True)
class Tuning(Declaration):
    """Hyperparameter search by time-ordered cross-validation on the training days.

    Attributes:
        trials: Trials per engine with a search space, over all workers. The first trial uses the declared values.
        minutes: Time budget; no trial starts later. Engines share it equally.
        workers: Number of parallel tasks, which share the trials.
        folds: Number of folds. Each trains on the days before it.
        gap_days: Label days left out between training and validation of a fold, so that labels can mature; at least
            ``Target.label_horizon_nights`` - 1, and None for ``label_horizon_nights``.
    """

    trials: Count = 20
    minutes: Positive = 60.0
    workers: Count = 2
    folds: Count = 3
    gap_days: CountOrZero | None = None

    def gap(self, label_horizon_nights: int) -> int:
        """Return the label days left out before a fold's validation, for labels that land after this many nights."""
        return label_horizon_nights if self.gap_days is None else self.gap_days


@dataclass(frozen=True, kw_only=True)
class Selection(Declaration):
    """Feature selection: drop features that help less than a random column.

    Attributes:
        method: Importance of a feature: ``gain`` of its splits, or what the validation metric loses by ``permutation``.
        probes: Number of random columns; a feature must beat the best of them.
        repeats: Number of trainings, each with new random columns; a feature must win in most of them.
    """

    method: Literal["gain", "permutation"] = "gain"
    probes: Count = 3
    repeats: Count = 3


@dataclass(frozen=True, kw_only=True)
class Pruning(Declaration):
    """How the compression ``pruned`` reduces a network.

    Attributes:
        share: Share of each hidden layer's units to remove, those with the smallest weights.
        epochs: Maximum epochs of fine-tuning afterwards.
    """

    share: Probability = 0.5
    epochs: Count = 4


STUDENT = Boosting(params={"max_depth": 4, "eta": 0.2}, num_rounds=60, early_stopping_rounds=None)


@dataclass(frozen=True, kw_only=True)
class WarmStart(Declaration):
    """Continue training from a registered version.

    Trees are added to the base model, so a model grows by up to ``num_rounds`` with each training. To bound its size,
    name a fixed ``version`` that every training starts from.

    Attributes:
        version: Version of the use case's registered model; None for the champion at the time of freezing.
        frozen_layers: Number of the network's first hidden layers to freeze, along with the embeddings.
    """

    version: Version | None = None
    frozen_layers: CountOrZero = 0


@dataclass(frozen=True, kw_only=True)
class Training(Declaration):
    """How a model is trained.

    Attributes:
        world_size: Number of ranks.
        engines: Engines to train, each under a name of its own; several form an ensemble.
        bags: Number of times that each engine is trained, each with a seed of its own (``seed``, ``seed`` + 1, …); all
            are members of the ensemble, e.g. ``boosting``, ``boosting_2``.
        rows: Which rows are fitted, and how much each weighs.
        validation_days: Number of days before the holdout that early stopping, ensemble weights and calibration use.
        holdout_days: Number of last days of the training interval; used once, for the gate.
        seed: Seed of all random numbers.
        balance_classes: Whether both classes have equal weight in training; calibration restores the probabilities.
        calibration: How outputs become probabilities.
        tuning: Hyperparameter search; None trains the declared values.
        selection: Feature selection; None keeps all features.
        warm_start: Version whose training is continued; None trains from scratch.
        compression: Smaller models to derive from the trained one; the gate judges each of them too.
        pruning: Options of ``pruned``.
        student: Engine of ``distilled``, trained on the whole model's predictions.
        max_compression_loss: A smaller model is preferred when its decisive metric is worse by at most this.
        resources: Resources of one rank of ``train``, ``tune`` and ``select_features``, where ranks are pods.
        evaluation_resources: Resources of ``evaluate``, which reads the holdout, where it is a pod.
    """

    world_size: Count = 2
    engines: tuple[DeclaredEngine, ...] = (Boosting(),)
    bags: Count = 1
    rows: Rows = field(default_factory=Rows)
    validation_days: Count = 7
    holdout_days: Count = 14
    seed: Annotated[int, Bounds(0, 2**31 - 1)] = 20130401
    balance_classes: bool = False
    calibration: Calibration = "best"
    tuning: Tuning | None = None
    selection: Selection | None = None
    warm_start: WarmStart | None = None
    compression: tuple[Compression, ...] = ()
    pruning: Pruning = field(default_factory=Pruning)
    student: Boosting = STUDENT
    max_compression_loss: Share = 0.002
    resources: Resources = field(default_factory=Resources)
    evaluation_resources: Resources = SMALL

    def check(self) -> None:
        """Check that engines, compressions and options are consistent."""
        kinds = [engine.kind for engine in self.engines]
        if not kinds:
            names = ", ".join(engine.__name__ for engine in ENGINES.values())
            refuse("engines is empty", where="Training.engines", fix=f"declare one or several of: {names}")
        self._check_names()
        check_unique(self.compression, kind="compression", where="Training.compression")
        if {"int8", "pruned"} & set(self.compression) and "network" not in kinds:
            refuse(
                f"compression {', '.join(self.compression)} needs a network",
                where="Training.compression",
                fix="declare a Network among the engines, or only `distilled`",
            )
        if self.student.space:
            refuse(
                "the student has a space, and is not tuned",
                where="Training.student",
                how_many=len(self.student.space),
                fix="give the student's parameters their values",
            )
        if self.tuning and not any(engine.space for engine in self.engines):
            refuse(
                "there is nothing to tune",
                where="Training.tuning",
                fix="declare a space in one of the engines, or leave tuning out",
            )
        self._check_single_rank()
        self._check_linear()
        self._check_balance()
        self._check_selection()
        self._check_warm_start()

    def _check_names(self) -> None:
        """Check that each member has a name of its own, which no baseline has."""
        names = [bag_name(engine.name, bag) for engine in self.engines for bag in range(self.bags)]
        check_unique(names, kind="engine", where="Training.engines")
        if taken := sorted(RESERVED_NAMES & set(names)):
            refuse(
                f"an engine is named {', '.join(taken)}, as a baseline or a model of the training is",
                where="Training.engines",
                how_many=len(taken),
                fix=f"choose another name than {', '.join(sorted(RESERVED_NAMES))}",
            )

    def _check_single_rank(self) -> None:
        """Check that nothing is declared for an engine of one rank that is built for XGBoost and networks alone."""
        alone = sorted({type(engine).__name__ for engine in self.engines if not engine.is_distributed})
        options = {
            f"world_size {self.world_size}": self.world_size > 1,
            "balance_classes": self.balance_classes,
            "warm_start": self.warm_start is not None,
        }
        wrong = [option for option, is_declared in options.items() if is_declared]
        if alone and wrong:
            refuse(
                f"{', '.join(wrong)} cannot be declared with {' and '.join(alone)}: one rank trains from the start",
                where="Training.engines",
                how_many=len(wrong),
                fix="declare world_size=1 and leave the others out, or train with Boosting (XGBoost)",
            )

    def _check_linear(self) -> None:
        """Check that nothing is declared that a linear model does not do: it weighs all rows alike."""
        options = {"balance_classes": self.balance_classes, "weights in Training.rows": self.rows.is_weighted}
        wrong = [option for option, is_declared in options.items() if is_declared]
        if wrong and any(isinstance(engine, Linear) for engine in self.engines):
            refuse(
                f"{', '.join(wrong)} cannot be declared with Linear, which weighs all rows alike",
                where="Training.engines",
                how_many=len(wrong),
                fix="leave these or Linear out",
            )

    def _check_balance(self) -> None:
        if self.balance_classes and self.calibration == "none":
            refuse(
                "balance_classes without calibration gives outputs that are not probabilities",
                where="Training.calibration",
                fix="choose from: 'platt', 'isotonic', 'best'; or leave balance_classes out",
            )
        if self.balance_classes and self._boosting_declares("scale_pos_weight"):
            refuse(
                "balance_classes decides scale_pos_weight, and both are declared",
                where="Training.balance_classes",
                fix="leave one of them out",
            )

    def _check_selection(self) -> None:
        if self.selection and self._boosting_declares("interaction_constraints"):
            refuse(
                "interaction_constraints name columns that selection may leave out",
                where="Training.selection",
                fix="leave interaction_constraints or selection out",
            )

    def _check_warm_start(self) -> None:
        """Check that the base version is sure to have the same features and engines."""
        if self.warm_start is None:
            return
        if self.selection:
            refuse(
                "warm_start continues from a version with the same features, and selection may choose others each time",
                where="Training.warm_start",
                fix="leave warm_start or selection out",
            )
        if "distilled" in self.compression and self.warm_start.version is None:
            refuse(
                "warm_start continues from the champion, which may be a distilled version without these engines",
                where="Training.warm_start",
                fix="leave distilled out of compression, or name the version to continue from: WarmStart(version='7')",
            )
        if fitted := [engine.name for engine in self.engines if isinstance(engine, Linear | Statistical)]:
            refuse(
                f"warm_start continues trees and networks, and {', '.join(fitted)} is fitted from the start",
                where="Training.warm_start",
                how_many=len(fitted),
                fix="leave warm_start or these engines out",
            )
        layers = max((len(engine.hidden) for engine in self.engines if isinstance(engine, Network)), default=0)
        if self.warm_start.frozen_layers > layers:
            refuse(
                f"frozen_layers is {self.warm_start.frozen_layers}, and the engines have {layers} hidden layers",
                where="WarmStart.frozen_layers",
                fix=f"give a whole number from 0 to {layers}; only a Network has layers",
            )

    def _boosting_declares(self, param: str) -> bool:
        """Return whether boosted trees declare this parameter."""
        return any(param in engine.params for engine in self.engines if isinstance(engine, Boosting))

    def resources_of(self, program: str) -> Resources:
        """Return the resources of one rank of a training program."""
        return self.resources if program in FITTING_PROGRAMS else self.evaluation_resources


def bag_name(engine: str, bag: int) -> str:
    """Return the name of the member that is an engine's training with the seed number ``bag``, from 0."""
    return engine if bag == 0 else f"{engine}_{bag + 1}"
