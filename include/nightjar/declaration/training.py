"""How a model is trained: engines, tuning, feature selection and warm start. Standard library only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Annotated, Any, ClassVar, Literal

from nightjar.declaration.boosting_params import PARAMETERS, check_param, check_params
from nightjar.declaration.declared import (
    Bounds,
    Count,
    CountOrZero,
    Declaration,
    NotNegative,
    Positive,
    Probability,
    Share,
    Version,
    check_choice,
    check_unique,
    check_value,
    hints_of,
    refuse,
)
from nightjar.declaration.lightgbm import LightGBM, check_alone
from nightjar.declaration.resources import SMALL, Resources
from nightjar.declaration.spaces import Choice, Space, span_from_dict
from nightjar.declaration.statistical import Statistical
from nightjar.protocol.programs import FITTING_PROGRAMS

Calibration = Literal["none", "platt", "isotonic", "temperature", "conformal", "best"]
"""How model outputs become probabilities, or quantiles that hold; ``best`` chooses on the validation days.

``platt`` and ``isotonic`` are for binary problems, ``temperature`` for multiclass problems, and ``conformal`` for the
quantiles of regressions."""
Compression = Literal["int8", "pruned", "distilled"]
"""``int8``: network weights quantized to 8 bits. ``pruned``: smallest weights removed. ``distilled``: one small booster
trained on the whole model's predictions."""


def _check_space(engine: DeclaredEngine, hints: Mapping[str, Any]) -> None:
    """Check that a search space holds known parameters, allowed values, and the declared value.

    Args:
        engine: Engine of the space.
        hints: Parameter name to the annotation of its values.
    """
    declared = engine.declared()
    for name, span in engine.space.items():
        where = f"{type(engine).__name__}.space[{name!r}]"
        check_choice(name, hints, kind="parameter", where=f"{type(engine).__name__}.space")
        values = span.values if isinstance(span, Choice) else (span.low, span.high)
        for value in values:
            check_value(value, hints[name], where=where)
        first = declared.get(name)
        within = first in values if isinstance(span, Choice) else first is not None and span.low <= first <= span.high
        if not within:
            refuse(
                f"{name} is searched in {span}, and declared as {'nothing' if first is None else repr(first)}",
                where=where,
                fix="declare a value within the range: it is the first that is tried",
            )


@dataclass(frozen=True, kw_only=True)
class Boosting(Declaration):
    """Boosted trees (XGBoost).

    Attributes:
        params: XGBoost parameters (objective, depth, eta, ...).
        num_rounds: Upper bound of boosting rounds.
        early_stopping_rounds: Stop after this many rounds without a better validation metric, and keep the best round;
            None trains and keeps all rounds.
        checkpoint_every_rounds: Rounds between checkpoints, from which a killed training resumes. Another value gives
            other bytes: the random state of column sampling restarts at each checkpoint.
        space: Search ranges of ``params`` (and ``num_rounds``).
    """

    kind: ClassVar[str] = "boosting"

    params: Mapping[str, Any] = field(default_factory=dict)
    num_rounds: Count = 400
    early_stopping_rounds: Count | None = 30
    checkpoint_every_rounds: Count = 25
    space: Space = field(default_factory=dict)

    def check(self) -> None:
        """Check the parameters and their search space."""
        check_params(self.params, where="Boosting.params")
        for name in self.space.keys() - {"num_rounds"}:
            check_param(name, where="Boosting.space")
        _check_space(self, {**PARAMETERS, "num_rounds": Count})

    def declared(self) -> Mapping[str, Any]:
        """Return the declared value of each parameter that can be searched."""
        return {**self.params, "num_rounds": self.num_rounds}

    def with_params(self, chosen: Mapping[str, Any]) -> Boosting:
        """Return a copy with the ``chosen`` parameter values."""
        params = {name: value for name, value in chosen.items() if name != "num_rounds"}
        num_rounds = chosen.get("num_rounds", self.num_rounds)
        return replace(self, params={**self.params, **params}, num_rounds=num_rounds)


@dataclass(frozen=True, kw_only=True)
class Network(Declaration):
    """A feed-forward network with an embedding for each category (PyTorch).

    Attributes:
        hidden: Width of each hidden layer.
        embedding_width: Maximum width of an embedding; a category of few values gets half as many as it has values.
        dropout: Share of activations dropped in training.
        learning_rate: Peak learning rate of AdamW: warm-up over the first epoch, then cosine decay.
        weight_decay: Weight decay of AdamW.
        batch_size: Rows per step, over all ranks.
        epochs: Maximum passes over the training rows.
        early_stopping_epochs: Stop after this many epochs without a better validation metric; the best epoch is kept.
        clip_norm: Maximum norm of a gradient (gradient clipping).
        checkpoint_every_epochs: Epochs between checkpoints, from which a killed training resumes.
        space: Search ranges of the numbers above.
    """

    kind: ClassVar[str] = "network"

    hidden: tuple[Count, ...] = (128, 64)
    embedding_width: Count = 16
    dropout: Annotated[float, Bounds(0, 1, high_open=True)] = 0.1
    learning_rate: Positive = 2e-3
    weight_decay: NotNegative = 1e-4
    batch_size: Count = 1024
    epochs: Count = 20
    early_stopping_epochs: Count = 4
    clip_norm: Positive = 1.0
    checkpoint_every_epochs: Count = 1
    space: Space = field(default_factory=dict)

    def check(self) -> None:
        """Check for a hidden layer, and the search space."""
        if not self.hidden:
            refuse("hidden is empty", where="Network.hidden", fix="give the width of each hidden layer, e.g. (128, 64)")
        hints = hints_of(Network)
        _check_space(self, {name: hints[name] for name in self.declared()})

    def declared(self) -> Mapping[str, Any]:
        """Return the declared value of each parameter that can be searched."""
        return {f.name: getattr(self, f.name) for f in fields(self) if isinstance(getattr(self, f.name), int | float)}

    def with_params(self, chosen: Mapping[str, Any]) -> Network:
        """Return a copy with the ``chosen`` parameter values."""
        return replace(self, **chosen)


DeclaredEngine = Boosting | Network | LightGBM | Statistical
ENGINES: Mapping[str, type[DeclaredEngine]] = {
    engine.kind: engine for engine in (Boosting, Network, LightGBM, Statistical)
}
_ENGINE_NAMES = ", ".join(engine.__name__ for engine in ENGINES.values())


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
        engines: Engines to train, at most one of each kind; several form an ensemble.
        window_days: Label days to fit, the last before the validation days; None for all.
        half_life_days: Days after which a row weighs half as much in training as one of the newest day; None weighs all
            alike. Only for boosted trees; baselines, validation and holdout weigh all rows alike.
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
    window_days: Count | None = None
    half_life_days: Positive | None = None
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
            refuse("engines is empty", where="Training.engines", fix=f"declare one of each: {_ENGINE_NAMES}")
        check_unique(kinds, kind="engine", where="Training.engines")
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
        if any(isinstance(engine, LightGBM) for engine in self.engines):
            check_alone(
                world_size=self.world_size,
                balance_classes=self.balance_classes,
                has_warm_start=self.warm_start is not None,
            )
        self._check_balance()
        self._check_half_life()
        self._check_selection()
        self._check_warm_start()

    def _check_balance(self) -> None:
        if self.balance_classes and self.calibration == "none":
            refuse(
                "balance_classes without calibration gives outputs that are not probabilities",
                where="Training.calibration",
                fix="choose from: 'platt', 'isotonic', 'best'; or leave balance_classes out",
            )
        if self.balance_classes and "scale_pos_weight" in self._boosting_params():
            refuse(
                "balance_classes decides scale_pos_weight, and both are declared",
                where="Training.balance_classes",
                fix="leave one of them out",
            )

    def _check_half_life(self) -> None:
        if self.half_life_days is not None and any(isinstance(engine, Network) for engine in self.engines):
            refuse(
                "half_life_days is declared, and a Network does not weigh rows",
                where="Training.half_life_days",
                fix="leave half_life_days or the Network out, or bound the days by window_days",
            )

    def _check_selection(self) -> None:
        if self.selection and "interaction_constraints" in self._boosting_params():
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
        layers = max((len(engine.hidden) for engine in self.engines if isinstance(engine, Network)), default=0)
        if self.warm_start.frozen_layers > layers:
            refuse(
                f"frozen_layers is {self.warm_start.frozen_layers}, and the engines have {layers} hidden layers",
                where="WarmStart.frozen_layers",
                fix=f"give a whole number from 0 to {layers}; only a Network has layers",
            )

    def _boosting_params(self) -> Mapping[str, Any]:
        """Return the parameters of the boosted trees; empty without boosted trees."""
        return next((engine.params for engine in self.engines if isinstance(engine, Boosting)), {})

    def resources_of(self, program: str) -> Resources:
        """Return the resources of one rank of a training program."""
        return self.resources if program in FITTING_PROGRAMS else self.evaluation_resources

    def engine(self, kind: str) -> DeclaredEngine:
        """Return the engine of that kind."""
        return next(engine for engine in self.engines if engine.kind == kind)


def engine_to_dict(engine: DeclaredEngine) -> dict[str, Any]:
    """Return the engine as JSON values."""
    space = {name: {"range": type(span).__name__, **asdict(span)} for name, span in engine.space.items()}
    return {"kind": engine.kind, **asdict(engine), "space": space}


def engine_from_dict(document: Mapping[str, Any]) -> DeclaredEngine:
    """Return the engine from the result of :func:`engine_to_dict`."""
    values = dict(document)
    kind = values.pop("kind")
    if space := values.pop("space"):
        values["space"] = {name: span_from_dict(**span) for name, span in space.items()}
    if kind == Network.kind:
        values["hidden"] = tuple(values["hidden"])
    if kind in (Boosting.kind, LightGBM.kind):
        values["params"] = {name: _as_declared(value) for name, value in values["params"].items()}
    return ENGINES[kind](**values)


def _as_declared(value: Any) -> Any:
    """Turn the lists of JSON into the tuples of a declaration."""
    return tuple(map(_as_declared, value)) if isinstance(value, list) else value
