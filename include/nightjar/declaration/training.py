"""How a model is trained: engines, search, selection, warm start, cost of errors. Standard library only."""

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
    Text,
    Version,
    check_choice,
    check_unique,
    check_value,
    hints_of,
    refuse,
)
from nightjar.declaration.resources import PLAIN, Resources
from nightjar.declaration.spaces import Choice, Space, span_from_dict
from nightjar.protocol.programs import FITTING_PROGRAMS

Calibration = Literal["none", "platt", "isotonic", "best"]
"""Map from a model's output to a probability; ``best`` chooses among the three on the validation days."""
Compression = Literal["int8", "pruned", "distilled"]
"""``int8``: the network's weights in 8 bits. ``pruned``: its smallest weights removed. ``distilled``: one small booster
that has learned what the whole model answers."""


def _check_space(engine: Engine, hints: Mapping[str, Any]) -> None:
    """Refuse a space of what is no parameter, beyond what it takes, or without the value that is tried first.

    Args:
        engine: Whose space.
        hints: Parameter to the annotation of its values.
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
        early_stopping_rounds: Rounds without a better validation AUC after which training stops, keeping the best
            round; None trains and keeps all rounds.
        checkpoint_every_rounds: A killed training goes on from the last multiple of this. It is part of what decides
            the model's bytes: columns are sampled anew after each checkpoint.
        space: Where ``params`` (and ``num_rounds``) are searched.
    """

    kind: ClassVar[str] = "boosting"

    params: Mapping[str, Any] = field(default_factory=dict)
    num_rounds: Count = 400
    early_stopping_rounds: Count | None = 30
    checkpoint_every_rounds: Count = 25
    space: Space = field(default_factory=dict)

    def check(self) -> None:
        """Refuse parameters that XGBoost does not know or would misread, and a space that does not fit them."""
        check_params(self.params, where="Boosting.params")
        for name in self.space.keys() - {"num_rounds"}:
            check_param(name, where="Boosting.space")
        _check_space(self, {**PARAMETERS, "num_rounds": Count})

    def declared(self) -> Mapping[str, Any]:
        """What may be searched, by name, as it is declared."""
        return {**self.params, "num_rounds": self.num_rounds}

    def with_params(self, chosen: Mapping[str, Any]) -> Boosting:
        """The same with other values of what is searched."""
        params = {name: value for name, value in chosen.items() if name != "num_rounds"}
        num_rounds = chosen.get("num_rounds", self.num_rounds)
        return replace(self, params={**self.params, **params}, num_rounds=num_rounds)


@dataclass(frozen=True, kw_only=True)
class Network(Declaration):
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
        """Refuse a network without a hidden layer, and a space of what is no number of it."""
        if not self.hidden:
            refuse("hidden is empty", where="Network.hidden", fix="give the width of each hidden layer, e.g. (128, 64)")
        hints = hints_of(Network)
        _check_space(self, {name: hints[name] for name in self.declared()})

    def declared(self) -> Mapping[str, Any]:
        """What may be searched, by name, as it is declared."""
        return {f.name: getattr(self, f.name) for f in fields(self) if isinstance(getattr(self, f.name), int | float)}

    def with_params(self, chosen: Mapping[str, Any]) -> Network:
        """The same with other values of what is searched."""
        return replace(self, **chosen)


Engine = Boosting | Network
ENGINES: Mapping[str, type[Engine]] = {engine.kind: engine for engine in (Boosting, Network)}
_ENGINE_NAMES = ", ".join(engine.__name__ for engine in ENGINES.values())


@dataclass(frozen=True, kw_only=True)
class Tuning(Declaration):
    """Search of the engines' spaces, by time-ordered cross-validation on the training days.

    Attributes:
        trials: Trials of each engine that declares a space, by all workers together; the first is what the use case
            declares.
        minutes: A worker begins no trial later than this; engines share the time alike.
        workers: Mapped tasks that share the study.
        folds: Each fold trains on the days before its own, and is judged on its own.
        gap_days: Days left out between the two, in which labels mature.
    """

    trials: Count = 20
    minutes: Positive = 60.0
    workers: Count = 2
    folds: Count = 3
    gap_days: CountOrZero = 1


@dataclass(frozen=True, kw_only=True)
class Selection(Declaration):
    """Features that help less than a column of random numbers are left out.

    Attributes:
        method: What a feature's help is measured by: the ``gain`` of its splits, or the validation AUC lost by
            ``permutation``.
        probes: Random columns; a feature must beat the best of them.
        repeats: Trainings, each with other random columns; a feature must beat them in most.
    """

    method: Literal["gain", "permutation"] = "gain"
    probes: Count = 3
    repeats: Count = 3


@dataclass(frozen=True, kw_only=True)
class Pruning(Declaration):
    """How the compression ``pruned`` makes a network smaller.

    Attributes:
        share: Share of each hidden layer's units that are removed, those with the smallest weights.
        epochs: Upper bound of epochs for which the smaller network is then trained.
    """

    share: Probability = 0.5
    epochs: Count = 4


STUDENT = Boosting(params={"max_depth": 4, "eta": 0.2}, num_rounds=60, early_stopping_rounds=None)


@dataclass(frozen=True, kw_only=True)
class WarmStart(Declaration):
    """Training goes on from a registered version instead of from nothing.

    Trees are added to the base's, so that a model grows by up to ``num_rounds`` each time; a schedule that should not
    let it grow for ever names a ``version``, which each training then goes on from.

    Attributes:
        version: Of the use case's registered model; None is the champion at the time of freezing.
        frozen_layers: Of the network's hidden layers, so many of the first (and the embeddings) stay as they are.
    """

    version: Version | None = None
    frozen_layers: CountOrZero = 0


@dataclass(frozen=True, kw_only=True)
class Cost(Declaration):
    """What errors cost the business; the decision threshold follows from it.

    Attributes:
        missed: Of an event that was not announced.
        false_alarm: Of an announced event that did not come.
        unit: Of both.
    """

    missed: Positive
    false_alarm: Positive
    unit: Text = "USD"

    @property
    def threshold(self) -> float:
        """Probability from which on an alarm costs less than a miss (Elkan, 2001, The foundations of cost-sensitive
        learning, with correct decisions free)."""
        return self.false_alarm / (self.missed + self.false_alarm)


@dataclass(frozen=True, kw_only=True)
class Training(Declaration):
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

    world_size: Count = 2
    engines: tuple[Engine, ...] = (Boosting(),)
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
    plain_resources: Resources = PLAIN

    def check(self) -> None:
        """Refuse engines, compressions, and what is done with both, that do not fit each other."""
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
        self._check_balance()
        self._check_selection()
        self._check_warm_start()

    def _check_balance(self) -> None:
        if self.balance_classes and self.calibration == "none":
            refuse(
                "balance_classes without calibration gives answers that are no probabilities",
                where="Training.calibration",
                fix="choose from: 'platt', 'isotonic', 'best'; or leave balance_classes out",
            )
        if self.balance_classes and "scale_pos_weight" in self._boosting_params():
            refuse(
                "balance_classes decides scale_pos_weight, and both are declared",
                where="Training.balance_classes",
                fix="leave one of them out",
            )

    def _check_selection(self) -> None:
        if self.selection and "interaction_constraints" in self._boosting_params():
            refuse(
                "interaction_constraints name columns that selection may leave out",
                where="Training.selection",
                fix="leave interaction_constraints or selection out",
            )

    def _check_warm_start(self) -> None:
        """A training can go on only from what has the same features and engines as it would have itself."""
        if self.warm_start is None:
            return
        if self.selection:
            refuse(
                "warm_start goes on from a version with the same features, and selection may choose others each time",
                where="Training.warm_start",
                fix="leave warm_start or selection out",
            )
        if "distilled" in self.compression and self.warm_start.version is None:
            refuse(
                "warm_start goes on from the champion, which may be a distilled version without these engines",
                where="Training.warm_start",
                fix="leave distilled out of compression, or name the version to go on from: WarmStart(version='7')",
            )
        layers = max((len(engine.hidden) for engine in self.engines if isinstance(engine, Network)), default=0)
        if self.warm_start.frozen_layers > layers:
            refuse(
                f"frozen_layers is {self.warm_start.frozen_layers}, and the engines have {layers} hidden layers",
                where="WarmStart.frozen_layers",
                fix=f"give a whole number from 0 to {layers}; only a Network has layers",
            )

    def _boosting_params(self) -> Mapping[str, Any]:
        """Parameters of the boosted trees; none where there are none."""
        return next((engine.params for engine in self.engines if isinstance(engine, Boosting)), {})

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
    values["space"] = {name: span_from_dict(**span) for name, span in values["space"].items()}
    if kind == Network.kind:
        values["hidden"] = tuple(values["hidden"])
    if kind == Boosting.kind:
        values["params"] = {name: _as_declared(value) for name, value in values["params"].items()}
    return ENGINES[kind](**values)


def _as_declared(value: Any) -> Any:
    """JSON has lists where a declaration has tuples."""
    return tuple(map(_as_declared, value)) if isinstance(value, list) else value
