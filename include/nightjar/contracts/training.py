"""How a model is trained: engines, search, selection, warm start, cost of errors. Standard library only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, ClassVar, Literal

from nightjar.contracts.errors import ConfigurationError
from nightjar.contracts.programs import FITTING_PROGRAMS
from nightjar.contracts.resources import PLAIN, Resources

Calibration = Literal["none", "platt", "isotonic", "best"]
"""Map from a model's output to a probability; ``best`` chooses among the three on the validation days."""
Compression = Literal["int8", "pruned", "distilled"]
"""``int8``: the network's weights in 8 bits. ``pruned``: its smallest weights removed. ``distilled``: one small booster
that has learned what the whole model answers."""


@dataclass(frozen=True)
class IntRange:
    """Whole numbers from ``low`` to ``high``, both included; ``log`` searches orders of magnitude alike."""

    low: int
    high: int
    log: bool = False


@dataclass(frozen=True)
class FloatRange:
    """Numbers from ``low`` to ``high``; ``log`` searches orders of magnitude alike."""

    low: float
    high: float
    log: bool = False


@dataclass(frozen=True)
class Choice:
    """One of a few values (JSON scalars)."""

    values: tuple[str | int | float | bool, ...]


Space = Mapping[str, IntRange | FloatRange | Choice]
"""Name of an engine's parameter to where it is searched."""


def _check_counts(declared: object, *names: str) -> None:
    for name in names:
        if getattr(declared, name) < 1:
            raise ConfigurationError(
                f"{name} is {getattr(declared, name)}",
                where=f"{type(declared).__name__} of the use case's training",
                fix="give a whole number from 1",
            )


def _check_space(engine: Engine) -> None:
    """What is searched is declared, with a value that the search may come back to."""
    declared = engine.declared()
    for name, span in engine.space.items():
        if isinstance(span, Choice):
            fits = name in declared and declared[name] in span.values
        else:
            fits = name in declared and span.low <= declared[name] <= span.high and (span.low > 0 or not span.log)
        if not fits:
            raise ConfigurationError(
                f"{name} is searched in {span}, and declared as {declared.get(name, 'nothing')}",
                where=f"space of the use case's {type(engine).__name__}",
                fix="declare a value within the range (above 0 where it is log): it is the first that is tried",
            )


@dataclass(frozen=True, kw_only=True)
class Boosting:
    """Boosted trees (XGBoost).

    Attributes:
        params: XGBoost parameters (objective, depth, eta, ...).
        num_rounds: Upper bound of boosting rounds.
        early_stopping_rounds: Rounds without a better validation AUC after which training stops, keeping the best
            round; None trains and keeps all rounds.
        checkpoint_every_rounds: A killed training goes on from the last multiple of this. It is part of what decides
            the model's bytes: columns are sampled anew after each checkpoint.
        space: Where ``params`` (and ``num_rounds``) are searched.
    """

    kind: ClassVar[str] = "boosting"

    params: Mapping[str, Any] = field(default_factory=dict)
    num_rounds: int = 400
    early_stopping_rounds: int | None = 30
    checkpoint_every_rounds: int = 25
    space: Space = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check_counts(self, "num_rounds", "checkpoint_every_rounds")
        _check_space(self)

    def declared(self) -> Mapping[str, Any]:
        """What may be searched, by name, as it is declared."""
        return {**self.params, "num_rounds": self.num_rounds}

    def with_params(self, chosen: Mapping[str, Any]) -> Boosting:
        """The same with other values of what is searched."""
        params = {name: value for name, value in chosen.items() if name != "num_rounds"}
        num_rounds = chosen.get("num_rounds", self.num_rounds)
        return replace(self, params={**self.params, **params}, num_rounds=num_rounds)


@dataclass(frozen=True, kw_only=True)
class Network:
    """A feed-forward network with an embedding for each category (PyTorch).

    Attributes:
        hidden: Width of each hidden layer.
        embedding_width: Greatest width of an embedding; a category of few values gets half as many as it has.
        dropout: Share of activations dropped while training.
        learning_rate: Greatest step of AdamW; it rises over the first epoch and falls along a cosine.
        weight_decay: Of AdamW.
        batch_size: Rows of one step, over all ranks.
        epochs: Upper bound of passes over the training rows.
        early_stopping_epochs: Epochs without a better validation AUC after which training stops; the best is kept.
        clip_norm: Greatest norm of a step's gradient.
        checkpoint_every_epochs: A killed training goes on from the last multiple of this.
        space: Where the numbers above are searched.
    """

    kind: ClassVar[str] = "network"

    hidden: tuple[int, ...] = (128, 64)
    embedding_width: int = 16
    dropout: float = 0.1
    learning_rate: float = 2e-3
    weight_decay: float = 1e-4
    batch_size: int = 1024
    epochs: int = 20
    early_stopping_epochs: int = 4
    clip_norm: float = 1.0
    checkpoint_every_epochs: int = 1
    space: Space = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check_counts(self, "batch_size", "epochs", "early_stopping_epochs", "checkpoint_every_epochs")
        _check_space(self)
        if not self.hidden or min(self.hidden) < 1 or not 0 <= self.dropout < 1:
            raise ConfigurationError(
                f"hidden {self.hidden} with dropout {self.dropout} is no network",
                where="training.engines of the use case",
                fix="give widths from 1, and a dropout from 0 and below 1",
            )

    def declared(self) -> Mapping[str, Any]:
        """What may be searched, by name, as it is declared."""
        return {f.name: getattr(self, f.name) for f in fields(self) if isinstance(getattr(self, f.name), int | float)}

    def with_params(self, chosen: Mapping[str, Any]) -> Network:
        """The same with other values of what is searched."""
        return replace(self, **chosen)


Engine = Boosting | Network
ENGINES: Mapping[str, type[Engine]] = {engine.kind: engine for engine in (Boosting, Network)}


@dataclass(frozen=True, kw_only=True)
class Tuning:
    """Search of the engines' spaces, by time-ordered cross-validation on the training days.

    Attributes:
        trials: Trials of each engine that declares a space, by all workers together; the first is what the use case
            declares.
        minutes: A worker begins no trial later than this; engines share the time alike.
        workers: Mapped tasks that share the study.
        folds: Each fold trains on the days before its own, and is judged on its own.
        gap_days: Days left out between the two, in which labels mature.
    """

    trials: int = 20
    minutes: float = 60.0
    workers: int = 2
    folds: int = 3
    gap_days: int = 1

    def __post_init__(self) -> None:
        _check_counts(self, "trials", "workers", "folds")
        if self.gap_days < 0 or self.minutes <= 0:
            raise ConfigurationError(
                f"{self.minutes:g} minutes and a gap of {self.gap_days} days are no search",
                where="training.tuning of the use case",
                fix="give minutes above 0 and gap_days from 0",
            )


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Features that help less than a column of random numbers are left out.

    Attributes:
        method: What a feature's help is measured by: the ``gain`` of its splits, or the validation AUC lost by
            ``permutation``.
        probes: Random columns; a feature must beat the best of them.
        repeats: Trainings, each with other random columns; a feature must beat them in most.
    """

    method: Literal["gain", "permutation"] = "gain"
    probes: int = 3
    repeats: int = 3

    def __post_init__(self) -> None:
        _check_counts(self, "probes", "repeats")


@dataclass(frozen=True, kw_only=True)
class Pruning:
    """How the compression ``pruned`` makes a network smaller.

    Attributes:
        share: Share of each hidden layer's units that are removed, those with the smallest weights.
        epochs: Upper bound of epochs for which the smaller network is then trained.
    """

    share: float = 0.5
    epochs: int = 4

    def __post_init__(self) -> None:
        _check_counts(self, "epochs")
        if not 0 < self.share < 1:
            raise ConfigurationError(
                f"a share of {self.share:g} cannot be pruned",
                where="training.pruning of the use case",
                fix="give a share above 0 and below 1",
            )


STUDENT = Boosting(params={"max_depth": 4, "eta": 0.2}, num_rounds=60, early_stopping_rounds=None)


@dataclass(frozen=True, kw_only=True)
class WarmStart:
    """Training goes on from a registered version instead of from nothing.

    Trees are added to the base's, so that a model grows by up to ``num_rounds`` each time; a schedule that should not
    let it grow for ever names a ``version``, which each training then goes on from.

    Attributes:
        version: Of the use case's registered model; None is the champion at the time of freezing.
        frozen_layers: Of the network's hidden layers, so many of the first (and the embeddings) stay as they are.
    """

    version: str | None = None
    frozen_layers: int = 0


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What errors cost the business; the decision threshold follows from it.

    Attributes:
        missed: Of an event that was not announced.
        false_alarm: Of an announced event that did not come.
        unit: Of both.
    """

    missed: float
    false_alarm: float
    unit: str = "USD"

    def __post_init__(self) -> None:
        if self.missed <= 0 or self.false_alarm <= 0:
            raise ConfigurationError(
                f"costs of {self.missed:g} and {self.false_alarm:g} are no reason to decide",
                where="cost of the use case",
                fix="give both above 0",
            )

    @property
    def threshold(self) -> float:
        """Probability from which on an alarm costs less than a miss (Elkan, 2001, The foundations of cost-sensitive
        learning, with correct decisions free)."""
        return self.false_alarm / (self.missed + self.false_alarm)


@dataclass(frozen=True, kw_only=True)
class Training:
    """How a model is trained.

    Attributes:
        world_size: Ranks.
        engines: What is trained, one of a kind; more than one makes an ensemble.
        validation_days: Days before the holdout that early stopping, ensemble weights and calibration look at.
        holdout_days: Last days of the training interval, touched once, for the gate.
        seed: Of everything random.
        balance_classes: Both classes weigh alike while training; calibration then restores the probabilities.
        calibration: How outputs become probabilities.
        tuning: How the engines' spaces are searched; None trains what is declared.
        selection: How features are left out; None keeps all.
        warm_start: What training goes on from; None begins anew.
        compression: Smaller models made from the trained one, each judged like any other.
        pruning: How ``pruned`` is made.
        student: What ``distilled`` trains on the whole model's predictions.
        max_compression_loss: A smaller model is preferred when its decisive metric is at most this much lower.
        resources: What one rank of ``train``, ``tune`` or ``select_features`` needs where ranks are pods.
        plain_resources: What a program needs there that does not train (``evaluate``, ``register``, ``gate``,
            ``promote``, ``choose_params``, ``maintain_lake``).
    """

    world_size: int = 2
    engines: tuple[Engine, ...] = (Boosting(),)
    validation_days: int = 7
    holdout_days: int = 14
    seed: int = 20130401
    balance_classes: bool = False
    calibration: Calibration = "best"
    tuning: Tuning | None = None
    selection: Selection | None = None
    warm_start: WarmStart | None = None
    compression: tuple[Compression, ...] = ()
    pruning: Pruning = field(default_factory=Pruning)
    student: Boosting = STUDENT
    max_compression_loss: float = 0.002
    resources: Resources = field(default_factory=Resources)
    plain_resources: Resources = PLAIN

    def __post_init__(self) -> None:
        kinds = [engine.kind for engine in self.engines]
        if not kinds or len(set(kinds)) < len(kinds):
            raise ConfigurationError(
                f"engines are {', '.join(kinds) or 'none'}",
                where="training.engines of the use case",
                how_many=len(kinds),
                fix="declare at least one engine, and each kind once",
            )
        if {"int8", "pruned"} & set(self.compression) and "network" not in kinds:
            raise ConfigurationError(
                f"compression {', '.join(self.compression)} needs a network",
                where="training.compression of the use case",
                fix="declare a Network among the engines, or only `distilled`",
            )
        if self.student.space:
            raise ConfigurationError(
                "the student has a space, and is not tuned",
                where="training.student of the use case",
                how_many=len(self.student.space),
                fix="give the student's parameters their values",
            )
        if self.balance_classes and self.calibration == "none":
            raise ConfigurationError(
                "classes that weigh alike give answers that are no probabilities, and nothing is to restore them",
                where="training.calibration of the use case",
                fix="leave calibration at `best`, or leave balance_classes out",
            )

        if self.tuning and not any(engine.space for engine in self.engines):
            raise ConfigurationError(
                "there is nothing to tune",
                where="training.tuning of the use case",
                fix="declare a space in one of the engines, or leave tuning out",
            )

    def resources_of(self, program: str) -> Resources:
        """What one rank of a training program needs."""
        return self.resources if program in FITTING_PROGRAMS else self.plain_resources

    def engine(self, kind: str) -> Engine:
        """The engine of that kind."""
        return next(engine for engine in self.engines if engine.kind == kind)


def engine_to_dict(engine: Engine) -> dict[str, Any]:
    """As JSON holds it."""
    space = {name: {"range": type(span).__name__, **asdict(span)} for name, span in engine.space.items()}
    return {"kind": engine.kind, **asdict(engine), "space": space}


def engine_from_dict(document: Mapping[str, Any]) -> Engine:
    """What :func:`engine_to_dict` gave."""
    values = dict(document)
    kind = values.pop("kind")
    values["space"] = {name: _range(**span) for name, span in values["space"].items()}
    if kind == Network.kind:
        values["hidden"] = tuple(values["hidden"])
    return ENGINES[kind](**values)


def _range(range: str, **bounds: Any) -> IntRange | FloatRange | Choice:
    if range == Choice.__name__:
        return Choice(tuple(bounds["values"]))
    return IntRange(**bounds) if range == IntRange.__name__ else FloatRange(**bounds)
