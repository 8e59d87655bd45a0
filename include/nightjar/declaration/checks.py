"""Checks across several groups of a use case, run when it is declared. Standard library only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from nightjar.declaration.declared import Positive, Probability, Share, check_choice, check_known, check_value, refuse
from nightjar.declaration.engines import Boosting, LightGBM, Linear, Network, Statistical, TwoTower
from nightjar.declaration.entity import Entity
from nightjar.declaration.experiment import Experiment
from nightjar.declaration.features import FeatureSet
from nightjar.declaration.forecast import Forecast
from nightjar.declaration.gate import Gate, check_bound
from nightjar.declaration.monitoring import Monitoring, Retraining
from nightjar.declaration.problem import Binary, Multiclass, Problem, Regression
from nightjar.declaration.ranking import Ranking
from nightjar.declaration.rows import Rows
from nightjar.declaration.schedule import Schedule
from nightjar.declaration.scoring import Scoring
from nightjar.declaration.spaces import Choice
from nightjar.declaration.tables import Column
from nightjar.declaration.target import Target
from nightjar.declaration.training import Training

_READ_AS = {"numeric": frozenset({"int", "long", "double", "boolean"}), "categorical": frozenset({"string"})}
"""Feature kind to the column types that a model reads as that kind."""


def check_nights(schedule: Schedule, training: Training, target: Target, *, where: str) -> None:
    """Check that the nights of a recorded history are enough for a training: its parts, and the gaps between them.

    Raises:
        ConfigurationError: with the number of nights, and the number needed.
    """
    first, last = schedule.first_night, schedule.last_night
    if last is None:
        return
    horizon = target.label_horizon_nights
    gaps = 2 * (horizon - 1)  # see nightjar.training.data.training_set.split_days
    needed = training.holdout_days + training.validation_days + 1 + gaps + horizon
    nights = (last - first) // timedelta(days=1) + 1
    if nights < needed:
        refuse(
            f"{nights} nights from {first} to {last} are too few for {needed}: "
            f"{training.holdout_days} days of holdout, {training.validation_days} of validation, one to train on, "
            + (f"{gaps} between these, and {horizon} until" if gaps else "and one on which")
            + " its labels land",
            where=where,
            how_many=nights,
            fix="give a later last_night, or fewer holdout_days and validation_days",
        )


def check_label_horizon(target: Target, training: Training, monitoring: Monitoring, *, where: str) -> None:
    """Check that nothing expects a label before it lands, or a model that is younger than its labels allow.

    Raises:
        ConfigurationError: with the smallest number that is possible.
    """
    horizon = target.label_horizon_nights
    matured = monitoring.performance.matured_after_nights
    if matured is not None and matured < horizon:
        refuse(
            f"nights are judged after {matured} nights, and their labels land after {horizon}",
            where=f"{where}.monitoring.performance.matured_after_nights",
            fix=f"give at least {horizon}, or leave it out for {horizon + 2}",
        )
    gap = training.tuning.gap_days if training.tuning else None
    if gap is not None and gap < horizon - 1:
        refuse(
            f"folds have a gap of {gap} days, and labels land after {horizon} nights: those of a fold's training days "
            "would land during its validation",
            where=f"{where}.training.tuning.gap_days",
            fix=f"give at least {horizon - 1}, or leave it out for {horizon}",
        )
    youngest = training.holdout_days + training.validation_days + 2 * (horizon - 1)
    if monitoring.retraining is not None and monitoring.retraining.max_age_days <= youngest:
        refuse(
            f"a training is requested after {monitoring.retraining.max_age_days} days, and the training days of a new "
            f"model are {youngest} days old: holdout, validation, and the gaps before them",
            where=f"{where}.monitoring.retraining.max_age_days",
            fix=f"give at least {youngest + 1}, or fewer holdout_days and validation_days",
        )


def check_feature_types(features: FeatureSet, row_columns: Sequence[Column], *, where: str) -> None:
    """Check that a feature which is a column of the row can be read as its kind.

    Raises:
        ConfigurationError: with the feature, and the types that its kind is read from.
    """
    types = {column.name: column.type for column in row_columns}
    for feature in features.columns:
        type_ = types.get(feature.name)
        if type_ is not None and type_ not in _READ_AS[feature.kind]:
            refuse(
                f"feature {feature.name} is {feature.kind}, and the row's column of that name is of type {type_}",
                where=where,
                fix=f"a {feature.kind} feature is read from: {', '.join(sorted(_READ_AS[feature.kind]))}; give one of "
                "the two another name or type",
            )


def check_prediction_columns(problem: Problem, entity: Entity, *, where: str) -> None:
    """Check that the score table can hold the columns of the prediction beside those of the entity.

    Raises:
        ConfigurationError: naming the entity's columns that are also columns of the prediction.
    """
    columns = (*problem.key_columns, *problem.carried_columns, *problem.prediction_columns("prediction"))
    added = [column.name for column in columns]
    if taken := [column.name for column in entity.columns if column.name in added]:
        refuse(
            f"column {', '.join(taken)} is one that the problem adds to the score table",
            where=where,
            how_many=len(taken),
            fix=f"choose another name; taken are: {', '.join(added)}",
        )


def check_metrics(problem: Problem, gate: Gate, retraining: Retraining | None, *, where: str) -> None:
    """Check that the metrics of the gate and the bound of retraining belong to the problem type.

    Raises:
        ConfigurationError: listing the problem type's metrics, or naming the right kind of bound.
    """
    _check_cost(problem, gate, where=f"{where}.gate")
    gate.check_metrics(problem.metrics, where=f"{where}.gate")
    if retraining is None:
        return
    place = f"{where}.monitoring.retraining"
    for name, bound in (("floor", retraining.floor), ("ceiling", retraining.ceiling)):
        if bound is not None:
            check_bound(problem.monitored, bound, problem.metrics, is_floor=name == "floor", where=f"{place}.{name}")


def _check_cost(problem: Problem, gate: Gate, *, where: str) -> None:
    """Check that a cost, or the rule of alarms, is declared when the gate names a metric of decisions."""
    of_decisions = {metric.name for metric in problem.metrics_of_decisions}.difference(problem.metrics)
    if gate.beats and not (isinstance(problem, Binary) and problem.cost):
        refuse(
            f"the gate compares costs with {', '.join(gate.beats)} alarming, and the problem is not Binary with costs",
            where=f"{where}.beats",
            how_many=len(gate.beats),
            fix="declare Binary(cost=Cost(…)), or leave beats out",
        )
    for name in (*gate.floors, *gate.ceilings, gate.decisive_metric):
        if name in of_decisions:
            refuse(
                f"the gate checks {name}, and no cost is declared",
                where=where,
                fix=f"declare the cost of the problem, or choose from: {', '.join(problem.metrics)}",
            )


def check_supported(problem: Problem, training: Training, scoring: Scoring, *, where: str) -> None:
    """Check that the engines, the calibration and the options are built for the problem type.

    Raises:
        ConfigurationError: with what is possible for the problem type.
    """
    check_choice(
        training.calibration,
        problem.calibrations,
        kind=f"calibration of a {problem.kind} problem",
        where=f"{where}.training.calibration",
    )
    if training.calibration == "conformal" and not (isinstance(problem, Regression) and problem.quantiles):
        refuse(
            "conformal calibration needs quantiles, and the problem declares none",
            where=f"{where}.training.calibration",
            fix="declare quantiles in the problem, or leave calibration out",
        )
    _check_boosting(problem, training, where=f"{where}.training")
    if problem.means_are_shares:
        check_value(scoring.audit.max_mean_shift, Share | None, where=f"{where}.scoring.audit.max_mean_shift")
    weighed = any("scale_pos_weight" in e.params for e in training.engines if isinstance(e, Boosting))
    is_focal = any(e.focal_gamma for e in training.engines if isinstance(e, Network))
    options = {
        "a Network among the engines": (any(isinstance(e, Network) for e in training.engines), _ROWS_WEIGH),
        "focal_gamma": (is_focal, _BINARY),
        "LightGBM among the engines": (any(isinstance(e, LightGBM) for e in training.engines), _ROWS_WEIGH),
        "Statistical among the engines": (any(isinstance(e, Statistical) for e in training.engines), _FORECAST),
        "Linear among the engines": (any(isinstance(e, Linear) for e in training.engines), _WITH_FITTED_BASELINES),
        "TwoTower among the engines": (any(isinstance(e, TwoTower) for e in training.engines), _RANKING),
        "balance_classes": (training.balance_classes, _BINARY),
        "scale_pos_weight": (weighed, _BINARY),
        "half_life_days": (training.rows.half_life_days is not None, _ROWS_WEIGH),
        "weight_column": (training.rows.weight_column is not None, _ROWS_WEIGH),
        "class_weights": (bool(training.rows.class_weights), (Multiclass.kind,)),
        "negative_share": (training.rows.negative_share < 1, _BINARY),
        "compression": (bool(training.compression), _BINARY),
        "selection": (training.selection is not None, _WITH_FITTED_BASELINES),
        "reason_codes": (bool(scoring.reason_codes), _BINARY),
        "an experiment": (scoring.experiment is not None, _BINARY),
    }
    wrong = {
        option: kinds for option, (is_declared, kinds) in options.items() if is_declared and problem.kind not in kinds
    }
    if wrong:
        refuse(
            f"{', '.join(wrong)} cannot be declared for a {problem.kind} problem",
            where=where,
            how_many=len(wrong),
            fix="leave out: " + "; ".join(f"{option} is for {', '.join(kinds)}" for option, kinds in wrong.items()),
        )


_BINARY, _FORECAST, _RANKING = (Binary.kind,), (Forecast.kind,), (Ranking.kind,)
_ROWS_WEIGH = (Binary.kind, Multiclass.kind, Regression.kind, Forecast.kind)
"""Problem types whose loss is a mean over rows; that of a ranking is over groups."""
_WITH_FITTED_BASELINES = (Binary.kind, Multiclass.kind, Regression.kind)
"""Problem types whose baselines are fitted; those of the others read inputs that a selection might leave out."""
_BASE_SCORES: Mapping[str, Any] = {"binary:logistic": Probability, "count:poisson": Positive, "reg:tweedie": Positive}
"""XGBoost's objective to the values of ``base_score`` that it accepts; others accept any."""


def _check_boosting(problem: Problem, training: Training, *, where: str) -> None:
    """Check the objective of boosted trees, and the prediction that they start from."""
    right = problem.objective
    for field, engines in (("engines", training.engines), ("student", (training.student,))):
        for engine in engines:
            if not isinstance(engine, Boosting):
                continue
            for objective in _declared_values(engine, "objective"):
                if objective != right:
                    refuse(
                        f"the objective {objective!r} is not that of the problem type",
                        where=f"{where}.{field}",
                        fix=f"leave it out: {problem.kind} trains with {right!r}",
                    )
            for base_score in _declared_values(engine, "base_score"):
                check_value(base_score, _BASE_SCORES.get(right, float), where=f"{where}.{field}, base_score")


def _declared_values(engine: Boosting, name: str) -> tuple[Any, ...]:
    """Return the values that a parameter may take: the declared one and those of the search space."""
    declared = (engine.params[name],) if name in engine.params else ()
    span = engine.space.get(name)
    searched = () if span is None else span.values if isinstance(span, Choice) else (span.low, span.high)
    return (*declared, *searched)


def check_rows(rows: Rows, problem: Problem, columns: Sequence[Column], *, where: str) -> None:
    """Check that weights are of a number in the feature table, and of declared classes.

    Raises:
        ConfigurationError: listing the columns or the classes.
    """
    if rows.weight_column is not None:
        numbers = [column.name for column in columns if column.type in _READ_AS["numeric"] - {"boolean"}]
        check_known((rows.weight_column,), numbers, kind="numeric column", where=f"{where}.weight_column")
    if isinstance(problem, Multiclass):
        check_known(rows.class_weights, problem.classes, kind="class", where=f"{where}.class_weights")


def check_monotone_constraints(training: Training, feature_names: tuple[str, ...], *, where: str) -> None:
    """Check that monotone constraints have one of -1, 0 and 1 per feature, in feature order or by name.

    Raises:
        ConfigurationError: naming the features.
    """
    for engine in (*training.engines, training.student):
        if isinstance(engine, Boosting) and "monotone_constraints" in engine.params:
            _check_constraints(engine.params["monotone_constraints"], feature_names, where=where)


def check_towers(training: Training, feature_names: tuple[str, ...], *, where: str) -> None:
    """Check that the inputs of towers are features of the use case.

    Raises:
        ConfigurationError: listing the features.
    """
    for engine in training.engines:
        if isinstance(engine, TwoTower):
            for name in ("group_features", "item_features"):
                check_known(getattr(engine, name), feature_names, kind="feature", where=f"{where}, {name}")


def _check_constraints(constraints: object, names: tuple[str, ...], *, where: str) -> None:
    if isinstance(constraints, Mapping):
        check_known(constraints, names, kind="feature", where=where)
        signs = [str(sign) for sign in constraints.values()]
    else:
        listed = constraints.strip("()[] ,") if isinstance(constraints, str) else constraints
        signs = listed.split(",") if isinstance(listed, str) else [str(sign) for sign in listed]  # type: ignore[attr-defined]
        if len(signs) != len(names):
            refuse(
                f"{len(signs)} monotone constraints are declared for {len(names)} features",
                where=where,
                how_many=len(signs),
                fix=f"give one for each feature, in their order: {', '.join(names)}",
            )
    if wrong := sorted({sign for sign in signs if sign.strip() not in {"-1", "0", "1"}}):
        refuse(
            f"{', '.join(wrong)} is not a valid constraint",
            where=where,
            how_many=len(wrong),
            fix="choose from: -1, 0, 1",
        )


def check_reason_codes(scoring: Scoring, training: Training, features: FeatureSet, *, where: str) -> None:
    """Check that the model can give the declared number of reason codes.

    Raises:
        ConfigurationError: for a model that cannot give reasons, or for more reasons than features.
    """
    if not scoring.reason_codes:
        return
    explained = (Boosting, LightGBM, Linear)
    if without := [type(engine).__name__ for engine in training.engines if not isinstance(engine, explained)]:
        refuse(
            f"reason codes are declared, and {', '.join(without)} cannot give them",
            where=where,
            fix="train with `Boosting`, `LightGBM` and `Linear` alone, or leave `reason_codes` out",
        )
    if scoring.reason_codes > len(features.columns):
        refuse(
            f"{scoring.reason_codes} reason codes are declared for {len(features.columns)} features",
            where=where,
            fix=f"give at most {len(features.columns)}",
        )


def check_experiment(
    experiment: Experiment, key: tuple[str, ...], problem: Problem, schedule: Schedule, *, where: str
) -> None:
    """Check the unit, the metric and the first night of an experiment.

    Raises:
        ConfigurationError: for a unit outside the key, a missing cost, or a first night after the last one.
    """
    check_known(experiment.unit, key, kind="column of the key", where=f"{where}.unit")
    if experiment.metric == "cost" and problem.cost is None:
        refuse(
            "the experiment compares costs, and no cost is declared",
            where=f"{where}.metric",
            fix="declare the cost of the problem, or compare the label or the Brier score",
        )
    if schedule.last_night and experiment.first_night > schedule.last_night:
        refuse(
            f"first_night {experiment.first_night} of the experiment is after the last night {schedule.last_night}",
            where=f"{where}.first_night",
            fix=f"give a night from {schedule.first_night} to {schedule.last_night}",
        )
