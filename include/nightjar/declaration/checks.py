"""Checks across several parts of a use case, run when it is declared. Standard library only."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from nightjar.declaration.cron import check_cron
from nightjar.declaration.declared import check_choice, check_unique, refuse
from nightjar.declaration.predicates import columns_read
from nightjar.declaration.quality import QUALITY_METRICS
from nightjar.declaration.reserved import check_not_added, check_sql_words, check_use_case_name
from nightjar.declaration.rules import NightRule, Rule
from nightjar.declaration.tables import DS, LANDED, Column
from nightjar.declaration.training import Boosting

if TYPE_CHECKING:
    from nightjar.declaration.use_case import Feature, Source, UseCase

LANDED_COLUMNS = {column.name: column.type for column in (DS, *LANDED)}
"""Columns of every raw table that are not in the landed file, with their types."""
_NUMBERS = frozenset({"int", "long", "double"})
_READ_AS = {"numeric": _NUMBERS | {"boolean"}, "categorical": frozenset({"string"})}
"""Feature kind to the column types that a model reads as that kind."""
_FIGURE_TYPES: Mapping[str, frozenset[str]] = {
    **dict.fromkeys(("mean", "std", "p05", "p25", "p50", "p75", "p95"), _NUMBERS),
    "distance": _NUMBERS | {"string"},
    "newest_age_hours": frozenset({"timestamp"}),
}
"""Night figure to the column types that have it. A figure that is not listed exists for every type."""
_FILE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*\.csv")


def check_source(source: Source) -> None:
    """Check that the source's table, file and rules are consistent.

    Raises:
        ConfigurationError: for the first inconsistency.
    """
    table, where = source.table, f"source {source.table.name}"
    if not re.fullmatch(r"raw/[^/]+", table.name):
        refuse(f"the table is {table.name}", where=f"{where}, Source.table", fix="name it raw/<source>")
    if not _FILE.fullmatch(source.file):
        refuse(
            f"file is {source.file!r}",
            where=f"{where}, Source.file",
            fix="give the name of a CSV file, without a folder, e.g. orders.csv",
        )
    types = {column.name: column.type for column in table.columns}
    for name, kind in LANDED_COLUMNS.items():
        if types.get(name) != kind:
            refuse(
                f"column {name} is {types.get(name, 'missing')}, not {kind}",
                where=f"{where}, Source.table",
                fix="declare ds (date), source_file (string) and landed_at (timestamp) beside the file's columns",
            )
    check_sql_words(types, where=f"{where}, Source.table")
    in_file = [column for column in table.columns if column.name not in LANDED_COLUMNS]
    if not in_file or any(column.type == "array<string>" for column in in_file):
        refuse(
            "the file has no column" if not in_file else "a CSV field cannot hold an array",
            where=f"{where}, Source.table",
            fix="declare the file's columns as string, int, long, double, boolean, date or timestamp",
        )
    check_known(source.expected_to_vary, types, kind="column", where=f"{where}, Source.expected_to_vary")
    check_rules(source.rules, types, where=f"{where}, Source.rules")
    check_unique((rule.name for rule in source.night_rules), kind="rule", where=f"{where}, Source.night_rules")
    for rule in source.night_rules:
        _check_night_rule(rule, types, where=f"{where}, rule {rule.name}")


def check_use_case(use_case: UseCase) -> None:
    """Check that all parts of the use case are consistent.

    Raises:
        ConfigurationError: for the first inconsistency.
    """
    where = f"use case {use_case.name}, UseCase"
    check_use_case_name(use_case.name, where=f"{where}.name")
    _check_time(use_case, where)
    check_unique((source.name for source in use_case.sources), kind="source", where=f"{where}.sources")
    check_unique((source.file for source in use_case.sources), kind="file", where=f"{where}.sources")
    for field, name in (("features_from", use_case.features_from), ("labels_from", use_case.labels_from)):
        check_choice(name, [source.name for source in use_case.sources], kind="source", where=f"{where}.{field}")
    _check_columns(use_case, where)
    columns = {column.name: column.type for column in use_case.feature_table.columns}
    check_rules(use_case.rules, columns, where=f"{where}.rules")
    check_known(use_case.performance.slices, columns, kind="column", where=f"{where}.performance.slices")
    _check_gate(use_case, f"{where}.gate")
    _check_training(use_case, f"{where}.training")
    _check_scoring(use_case, f"{where}.scoring")


def check_known(names: Iterable[str], known: Collection[str], *, kind: str, where: str) -> None:
    """Check that each name is known and occurs once.

    Raises:
        ConfigurationError: listing the known names.
    """
    listed = tuple(names)
    for name in listed:
        check_choice(name, known, kind=kind, where=where)
    check_unique(listed, kind=kind, where=where)


def check_rules(rules: Iterable[Rule], columns: Collection[str], *, where: str) -> None:
    """Check that rule names are unique and that each predicate reads existing columns.

    Raises:
        ConfigurationError: naming the rule and the columns that it may read.
    """
    listed = tuple(rules)
    check_unique((rule.name for rule in listed), kind="rule", where=where)
    for rule in listed:
        rule_place = f"{where}, rule {rule.name}"
        try:
            read = columns_read(rule.broken_when)
        except ValueError as error:
            refuse(
                f"the predicate {rule.broken_when!r} cannot be read: {error}",
                where=rule_place,
                fix="give a Spark SQL predicate, e.g. 'amount < 0'",
            )
        for name in sorted(read):
            check_choice(name, columns, kind="column", where=rule_place)


def _check_night_rule(rule: NightRule, types: Mapping[str, str], *, where: str) -> None:
    if not rule.column:
        return
    check_choice(rule.column, types, kind="column", where=where)
    allowed_types = _FIGURE_TYPES.get(rule.figure)
    if allowed_types and types[rule.column] not in allowed_types:
        refuse(
            f"{rule.column} is of type {types[rule.column]}, which has no {rule.figure}",
            where=where,
            fix=f"choose a column of type {', '.join(sorted(allowed_types))}, or another figure",
        )


def _check_time(use_case: UseCase, where: str) -> None:
    """Check the time zone, the schedules and the range of nights."""
    try:
        ZoneInfo(use_case.timezone)
    except (LookupError, ValueError, OSError):
        _refuse_zone(use_case.timezone, where=f"{where}.timezone")
    check_cron(use_case.schedule, where=f"{where}.schedule", at_most_daily=True)
    check_cron(use_case.training_schedule, where=f"{where}.training_schedule")
    if use_case.last_night is None:
        return
    if use_case.last_night < use_case.first_night:
        refuse(
            f"last_night {use_case.last_night} is before first_night {use_case.first_night}",
            where=f"{where}.last_night",
            fix="give a later night, or None for sources that continue",
        )
    training = use_case.training
    needed = training.holdout_days + training.validation_days + 2  # a day to train on, and the last night's label
    nights = (use_case.last_night - use_case.first_night) // timedelta(days=1) + 1
    if nights < needed:
        refuse(
            f"{nights} nights from {use_case.first_night} to {use_case.last_night} are too few for {needed}: "
            f"{training.holdout_days} days of holdout, {training.validation_days} of validation, one to train on, "
            "and one on which its labels land",
            where=f"{where}.last_night",
            how_many=nights,
            fix="give a later last_night, or fewer holdout_days and validation_days",
        )


def _refuse_zone(zone: str, *, where: str) -> None:
    from zoneinfo import available_timezones  # reads the files of all zones, so only on an error

    zones = sorted(available_timezones())
    folded = {name.casefold(): name for name in zones}
    near = folded.get(zone.casefold())
    listed = ", ".join(name for name in zones if name.partition("/")[0] == (near or "Europe").partition("/")[0])
    meant = f"; did you mean {near!r}?" if near else ""
    refuse(f"unknown time zone {zone!r}", where=where, fix=f"give an IANA zone, e.g. UTC, {listed}{meant}")


def _check_columns(use_case: UseCase, where: str) -> None:
    """Check that the columns of the feature, label and score tables are unique and not reserved."""
    for field, columns in (("entity", use_case.entity), ("carried", use_case.carried), ("features", use_case.features)):
        names = [column.name for column in columns]
        check_unique(names, kind="column", where=f"{where}.{field}")
        check_not_added(names, where=f"{where}.{field}")
        check_sql_words(names, where=f"{where}.{field}")
    for field, given in (("entity", use_case.entity), ("features", use_case.features)):
        if not given:
            refuse(f"{field} is empty", where=f"{where}.{field}", fix="declare at least one column")
    beside = {column.name: column for column in (*use_case.entity, *use_case.carried)}
    both = [column.name for column in use_case.carried if column.name in {c.name for c in use_case.entity}]
    if both:
        refuse(
            f"column {', '.join(both)} is declared twice: in entity, and in carried",
            where=f"{where}.carried",
            how_many=len(both),
            fix="leave it out of carried: the score table has the entity's columns",
        )
    for feature in use_case.features:
        if feature.name in beside:
            _check_same_type(feature, beside[feature.name], where=f"{where}.features")
    if not any(feature.drift for feature in use_case.features):
        refuse(
            "no feature is watched for drift",
            where=f"{where}.features",
            fix="leave drift=True for at least one feature",
        )


def _check_same_type(feature: Feature, column: Column, *, where: str) -> None:
    if column.type not in _READ_AS[feature.kind]:
        refuse(
            f"feature {feature.name} is {feature.kind}, and the column of that name in entity or carried is "
            f"of type {column.type}",
            where=where,
            fix=f"a {feature.kind} feature is read from: {', '.join(sorted(_READ_AS[feature.kind]))}; give one of the "
            "two another name or type",
        )


def _check_gate(use_case: UseCase, where: str) -> None:
    gate = use_case.gate
    for name in (*gate.floors, *gate.ceilings, gate.decisive_metric):
        if use_case.cost is None and QUALITY_METRICS[name].needs_cost:
            refuse(
                f"the gate checks {name}, and no cost is declared",
                where=where,
                fix="declare UseCase.cost, or choose from: "
                + ", ".join(name for name, metric in QUALITY_METRICS.items() if not metric.needs_cost),
            )


def _check_training(use_case: UseCase, where: str) -> None:
    names = use_case.feature_names
    for engine in (*use_case.training.engines, use_case.training.student):
        if isinstance(engine, Boosting) and "monotone_constraints" in engine.params:
            _check_monotone(engine.params["monotone_constraints"], names, where=f"{where}, monotone_constraints")


def _check_monotone(constraints: object, names: tuple[str, ...], *, where: str) -> None:
    """Check for one of -1, 0 and 1 per feature, in feature order or by name."""
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


def _check_scoring(use_case: UseCase, where: str) -> None:
    scoring, experiment = use_case.scoring, use_case.scoring.experiment
    if scoring.reason_codes:
        if [type(engine) for engine in use_case.training.engines] != [Boosting]:
            refuse(
                "reason codes are declared, and only boosted trees alone can give them",
                where=f"{where}.reason_codes",
                fix="train with one `Boosting`, or leave `reason_codes` out",
            )
        if scoring.reason_codes > len(use_case.features):
            refuse(
                f"{scoring.reason_codes} reason codes are declared for {len(use_case.features)} features",
                where=f"{where}.reason_codes",
                fix=f"give at most {len(use_case.features)}",
            )
    if experiment is None:
        return
    check_known(experiment.unit, use_case.key, kind="column of the key", where=f"{where}.experiment.unit")
    if experiment.metric == "cost" and use_case.cost is None:
        refuse(
            "the experiment compares costs, and no cost is declared",
            where=f"{where}.experiment.metric",
            fix="declare `cost`, or compare the label or the Brier score",
        )
    if use_case.last_night and experiment.first_night > use_case.last_night:
        refuse(
            f"first_night {experiment.first_night} of the experiment is after the last night {use_case.last_night}",
            where=f"{where}.experiment.first_night",
            fix=f"give a night from {use_case.first_night} to {use_case.last_night}",
        )
