"""Problem types: the kind of label, the columns of a prediction, and the cost of errors. Standard library only.

Everything that computes with a problem type is in :mod:`nightjar.problems`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from nightjar.declaration.alarms import Alarms
from nightjar.declaration.declared import (
    Bounds,
    Declaration,
    NotNegative,
    Positive,
    Probability,
    Text,
    check_unique,
    refuse,
)
from nightjar.declaration.forecast import Forecast
from nightjar.declaration.quality import QualityMetric, by_name, losses, shares
from nightjar.declaration.quantiles import (
    DECISION,
    QuantileCost,
    check_quantile_cost,
    check_quantiles,
    decision_column,
    quantile_column,
    quantile_columns,
)
from nightjar.declaration.ranking import RANK, Ranking
from nightjar.declaration.tables import Column, ColumnType
from nightjar.protocol.names import IDENTIFIER_FORM, is_identifier

LINEAR, CONSTANT = "baseline", "constant"
"""Baselines that a model must beat: a linear model on the same features, and the labels' shares or mean."""


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
class Binary(Declaration):
    """A yes/no question: labels are 1.0 or 0.0, a prediction is the probability of 1.

    Attributes:
        cost: Cost of errors; None for a use case without costs.
        alarms: How predictions become alarms; None for the threshold of the costs, or no alarms without costs.
    """

    kind: ClassVar[str] = "binary"
    label_type: ClassVar[ColumnType] = "double"
    objective: ClassVar[str] = "binary:logistic"
    calibrations: ClassVar[tuple[str, ...]] = ("none", "platt", "isotonic", "best")
    baselines: ClassVar[tuple[str, ...]] = (LINEAR,)
    label_groups: ClassVar[tuple[str, ...]] = ("positives",)
    metrics_of_decisions: ClassVar[tuple[QualityMetric, ...]] = (
        *losses("expected_cost"),
        *shares("recall", "precision"),
    )
    key_columns: ClassVar[tuple[Column, ...]] = ()
    carried_columns: ClassVar[tuple[Column, ...]] = ()
    has_rows_of_source: ClassVar[bool] = True
    means_are_shares: ClassVar[bool] = True

    cost: Cost | None = None
    alarms: Alarms | None = None

    @property
    def has_decisions(self) -> bool:
        """Whether predictions become alarms."""
        return self.cost is not None or self.alarms is not None

    @property
    def metrics(self) -> Mapping[str, QualityMetric]:
        """Metrics that a gate can check; the first is the default."""
        return by_name(
            (
                *losses("log_loss"),
                *shares("auc", "pr_auc"),
                *losses("brier", "calibration_error", high=1.0),
                *(losses("expected_cost") if self.cost else ()),
                *(shares("recall", "precision") if self.has_decisions else ()),
            )
        )

    @property
    def monitored(self) -> str:
        """Metric of the nights that monitoring compares with the holdout."""
        return "auc"

    def prediction_columns(self, prediction: str) -> tuple[Column, ...]:
        """Return the columns of a prediction, whose meaning is ``prediction``."""
        return (Column("prediction", "double", prediction, nullable=False),)

    @property
    def decision_columns(self) -> tuple[Column, ...]:
        """The column of the decision; none without costs and alarms."""
        if not self.has_decisions:
            return ()
        meaning = (
            "Whether the prediction reaches the model's decision threshold, above which an alarm costs less than a "
            "miss; null for a model without a threshold."
            if self.alarms is None
            else f"Whether the row is an alarm: {self.alarms}."
        )
        return (Column(DECISION, "boolean", meaning),)


@dataclass(frozen=True, kw_only=True)
class CostMatrix(Declaration):
    """Cost of each decision, by the class that is true.

    Attributes:
        costs: True class to the decided class to its cost. A pair that is left out costs 0, as right decisions do.
        unit: Unit of the costs.
    """

    costs: Mapping[str, Mapping[str, NotNegative]]
    unit: Text = "USD"

    def cost(self, true: str, decided: str) -> float:
        """Return the cost of deciding for ``decided`` when ``true`` is the class."""
        return self.costs.get(true, {}).get(decided, 0.0)


@dataclass(frozen=True, kw_only=True)
class Multiclass(Declaration):
    """One of several classes: a label is a class, a prediction the probability of each class.

    Attributes:
        classes: Names of the classes, lower-case identifiers: each becomes a column ``p_<class>``.
        cost: Cost of decisions; None for a use case without decisions.
    """

    kind: ClassVar[str] = "multiclass"
    label_type: ClassVar[ColumnType] = "string"
    objective: ClassVar[str] = "multi:softprob"
    calibrations: ClassVar[tuple[str, ...]] = ("none", "temperature", "best")
    baselines: ClassVar[tuple[str, ...]] = (LINEAR, CONSTANT)
    metrics_of_decisions: ClassVar[tuple[QualityMetric, ...]] = losses("expected_cost")
    key_columns: ClassVar[tuple[Column, ...]] = ()
    carried_columns: ClassVar[tuple[Column, ...]] = ()
    has_rows_of_source: ClassVar[bool] = True
    means_are_shares: ClassVar[bool] = True

    classes: tuple[Text, ...]
    cost: CostMatrix | None = None

    def check(self) -> None:
        """Check the classes, and that costs name only these."""
        check_unique(self.classes, kind="class", where="Multiclass.classes")
        if len(self.classes) < 3:
            refuse(
                f"{len(self.classes)} classes are declared",
                where="Multiclass.classes",
                how_many=len(self.classes),
                fix="give at least three; two classes are a Binary problem",
            )
        for name in self.classes:
            if not is_identifier(f"p_{name}"):
                refuse(
                    f"class {name!r} cannot be part of a column's name",
                    where="Multiclass.classes",
                    fix=f"give names of {IDENTIFIER_FORM}; the use case's features.py can map the labels",
                )
        for true, costs in self.cost.costs.items() if self.cost else ():
            for name in (true, *costs):
                if name not in self.classes:
                    refuse(
                        f"unknown class {name!r}",
                        where="Multiclass.cost",
                        fix=f"choose from: {', '.join(self.classes)}",
                    )

    @property
    def metrics(self) -> Mapping[str, QualityMetric]:
        """Metrics that a gate can check; the first is the default."""
        return by_name(
            (
                *losses("log_loss"),
                *shares("accuracy", "macro_f1", "weighted_f1", "macro_auc"),
                *(self.metrics_of_decisions if self.cost else ()),
            )
        )

    @property
    def monitored(self) -> str:
        """Metric of the nights that monitoring compares with the holdout."""
        return "accuracy"

    @property
    def label_groups(self) -> tuple[str, ...]:
        """Groups of labels that are counted: one for each class, in the order of the classes."""
        return tuple(f"rows_{name}" for name in self.classes)

    @property
    def probability_columns(self) -> tuple[str, ...]:
        """Names of the columns of the classes' probabilities, in the order of the classes."""
        return tuple(f"p_{name}" for name in self.classes)

    def prediction_columns(self, prediction: str) -> tuple[Column, ...]:
        """Return the columns of a prediction, whose meaning is ``prediction``."""
        return (
            Column("prediction", "string", f"{prediction} The most probable class.", nullable=False),
            *(
                Column(column, "double", f"Probability of the class {name}.", nullable=False)
                for column, name in zip(self.probability_columns, self.classes, strict=True)
            ),
        )

    @property
    def decision_columns(self) -> tuple[Column, ...]:
        """The column of the decision; none without costs."""
        if self.cost is None:
            return ()
        return (Column(DECISION, "string", "Class with the lowest expected cost."),)


SKILL = "skill"
"""Metric of regressions: 1 minus the ratio of the loss to that of the constant baseline."""
Loss = Literal["squared", "absolute", "huber", "poisson", "tweedie", "quantile"]
_OBJECTIVES: Mapping[Loss, str] = {
    "squared": "reg:squarederror",
    "absolute": "reg:absoluteerror",
    "huber": "reg:pseudohubererror",
    "poisson": "count:poisson",
    "tweedie": "reg:tweedie",
    "quantile": "reg:quantileerror",
}
"""Loss to XGBoost's objective."""
_FIRST_METRIC: Mapping[Loss, str] = {
    "squared": "rmse",
    "absolute": "mae",
    "huber": "mae",
    "poisson": "poisson_deviance",
    "tweedie": "tweedie_deviance",
    "quantile": "pinball",
}


@dataclass(frozen=True, kw_only=True)
class Regression(Declaration):
    """A number: labels and predictions are numbers of one unit.

    Attributes:
        unit: Unit of label and prediction, e.g. ``min``.
        loss: What training minimizes. ``squared`` predicts the mean, ``absolute`` and ``quantile`` the median,
            ``huber`` a mean that outliers do not move, ``poisson`` and ``tweedie`` the mean of labels of at least 0.
        quantiles: Probabilities of the quantiles to predict besides, ascending, with 0.5 among them; only for the loss
            ``quantile``. Each becomes a column, e.g. ``q10``.
        huber_slope: Error from which ``huber`` grows linearly, in ``unit``.
        tweedie_power: Power of the variance of ``tweedie``: near 1 for counts, near 2 for amounts.
        cost: Cost of errors; None for a use case without decisions. Only for the loss ``quantile``.
    """

    kind: ClassVar[str] = "regression"
    label_type: ClassVar[ColumnType] = "double"
    calibrations: ClassVar[tuple[str, ...]] = ("none", "conformal", "best")
    baselines: ClassVar[tuple[str, ...]] = (LINEAR, CONSTANT)
    label_groups: ClassVar[tuple[str, ...]] = ("positive", "negative")
    metrics_of_decisions: ClassVar[tuple[QualityMetric, ...]] = losses("expected_cost")
    key_columns: ClassVar[tuple[Column, ...]] = ()
    carried_columns: ClassVar[tuple[Column, ...]] = ()
    has_rows_of_source: ClassVar[bool] = True
    means_are_shares: ClassVar[bool] = False

    unit: Text
    loss: Loss = "squared"
    quantiles: tuple[Probability, ...] = ()
    huber_slope: Positive = 1.0
    tweedie_power: Annotated[float, Bounds(1, 2, low_open=True, high_open=True)] = 1.5
    cost: QuantileCost | None = None

    def check(self) -> None:
        """Check that loss, quantiles and cost fit together."""
        where = "Regression.quantiles"
        if self.loss == "quantile":
            check_quantiles(self.quantiles, where=where)
        elif self.quantiles:
            refuse(
                f"quantiles are declared, and the loss {self.loss!r} does not train them",
                where=where,
                how_many=len(self.quantiles),
                fix="declare loss='quantile', or leave quantiles out",
            )
        check_quantile_cost(self.cost, self.quantiles, where="Regression.cost")

    @property
    def objective(self) -> str:
        """XGBoost's objective."""
        return _OBJECTIVES[self.loss]

    @property
    def metrics(self) -> Mapping[str, QualityMetric]:
        """Metrics that a gate can check; the first is the default."""
        first = _FIRST_METRIC[self.loss]
        of_quantiles = (*losses("pinball"), *losses("coverage_error", high=1.0)) if self.quantiles else ()
        of_decisions = self.metrics_of_decisions if self.cost else ()
        of_loss = losses(first) if first.endswith("_deviance") else ()
        known = by_name((*losses("mae", "rmse"), *of_quantiles, *of_loss, *shares(SKILL), *of_decisions))
        return {first: known[first], **known}

    @property
    def loss_metric(self) -> str:
        """Metric of the loss, the default of the gate; the skill compares it with that of the constant baseline."""
        return _FIRST_METRIC[self.loss]

    @property
    def monitored(self) -> str:
        """Metric of the nights that monitoring compares with the holdout."""
        return "mae"

    @property
    def has_lower_bound(self) -> bool:
        """Whether labels and predictions are at least 0."""
        return self.loss in ("poisson", "tweedie")

    @property
    def quantile_columns(self) -> tuple[str, ...]:
        """Names of the columns of the quantiles, ascending."""
        return tuple(map(quantile_column, self.quantiles))

    def prediction_columns(self, prediction: str) -> tuple[Column, ...]:
        """Return the columns of a prediction, whose meaning is ``prediction``."""
        return (
            Column("prediction", "double", f"{prediction} Unit: {self.unit}.", nullable=False),
            *quantile_columns(self.quantiles, self.unit),
        )

    @property
    def decision_columns(self) -> tuple[Column, ...]:
        """The column of the decision; none without costs."""
        return (decision_column(self.cost, self.unit),) if self.cost else ()


Problem = Binary | Multiclass | Regression | Forecast | Ranking


def regression_of(forecast: Forecast) -> Regression:
    """Return the regression with the quantiles and the cost of a forecast: what does not depend on series and steps."""
    return Regression(unit=forecast.unit, loss="quantile", quantiles=forecast.quantiles, cost=forecast.cost)


def columns_of_rows(problem: Problem, prediction: str) -> tuple[Column, ...]:
    """Return the columns of a prediction that follow from a single row: those besides the rank within a group."""
    return tuple(column for column in problem.prediction_columns(prediction) if column != RANK)


def cost_of_binary(problem: Problem) -> Cost | None:
    """Return the cost of errors of a binary problem; None for other types."""
    return problem.cost if isinstance(problem, Binary) else None


PROBLEMS: Mapping[str, type[Problem]] = {
    problem.kind: problem for problem in (Binary, Multiclass, Regression, Forecast, Ranking)
}
"""Kind of a problem to its declaration."""
