"""UseCase: what to predict, from which tables, and the required quality. Standard library only."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from importlib import import_module
from importlib.util import find_spec
from pkgutil import iter_modules

from nightjar.declaration.checks import (
    check_experiment,
    check_feature_types,
    check_label_horizon,
    check_metrics,
    check_monotone_constraints,
    check_nights,
    check_prediction_columns,
    check_reason_codes,
    check_rows,
    check_supported,
    check_towers,
)
from nightjar.declaration.data import Data, Source
from nightjar.declaration.declared import Declaration, Name, Text, check_known
from nightjar.declaration.entity import Entity
from nightjar.declaration.experiment import EXPERIMENT_COLUMNS
from nightjar.declaration.features import FeatureSet
from nightjar.declaration.gate import Gate
from nightjar.declaration.monitoring import Monitoring
from nightjar.declaration.problem import Problem
from nightjar.declaration.problem_checks import check_problem
from nightjar.declaration.reserved import check_use_case_name
from nightjar.declaration.rules import check_rules
from nightjar.declaration.schedule import Schedule
from nightjar.declaration.scoring import FALLBACK_REASON, Scoring
from nightjar.declaration.tables import DS, Column, TableSchema
from nightjar.declaration.target import Target
from nightjar.declaration.training import Training
from nightjar.protocol.errors import ConfigurationError
from nightjar.protocol.names import check_identifier


@dataclass(frozen=True, kw_only=True)
class UseCase(Declaration):
    """One use case. ``include/use_cases/<name>/use_case.py`` holds one as ``USE_CASE``.

    Attributes:
        name: Folder, DAG prefix, table and model name.
        title: Display name.
        owner: Person or team responsible for it.
        schedule: When it runs, and for which nights.
        data: What lands each night, and what features and labels are built from.
        entity: What is scored each night.
        features: Model inputs.
        problem: Problem type: the kind of label and prediction, and the cost of errors.
        target: What is predicted, in words.
        training: How a model is trained.
        gate: Requirements for a promotion.
        scoring: Options of scoring, its fallback, and limits for its scores.
        monitoring: Drift, performance, and when monitoring requests a training.
    """

    name: Name
    title: Text
    owner: Text
    schedule: Schedule
    data: Data
    entity: Entity
    features: FeatureSet
    problem: Problem
    target: Target
    training: Training
    gate: Gate
    scoring: Scoring = field(default_factory=Scoring)
    monitoring: Monitoring = field(default_factory=Monitoring)

    def check(self) -> None:
        """Check the name, and what must hold between several groups."""
        where = f"use case {self.name}, UseCase"
        check_use_case_name(self.name, where=f"{where}.name")
        check_nights(self.schedule, self.training, self.target, where=f"{where}.schedule.last_night")
        check_label_horizon(self.target, self.training, self.monitoring, where=where)
        check_feature_types(self.features, self.row_columns, where=f"{where}.features.columns")
        check_prediction_columns(self.problem, self.entity, where=f"{where}.entity")
        check_problem(self, where=where)
        columns = self.feature_table.column_names
        check_rules(self.features.rules, columns, where=f"{where}.features.rules")
        slices = self.monitoring.performance.slices
        check_known(slices, columns, kind="column", where=f"{where}.monitoring.performance.slices")
        if (unit := self.monitoring.performance.unit) is not None:
            check_known((unit,), columns, kind="column", where=f"{where}.monitoring.performance.unit")
        check_metrics(self.problem, self.gate, self.monitoring.retraining, where=where)
        check_supported(self.problem, self.training, self.scoring, where=where)
        check_rows(self.training.rows, self.problem, self.feature_table.columns, where=f"{where}.training.rows")
        check_monotone_constraints(self.training, self.feature_names, where=f"{where}.training, monotone_constraints")
        check_towers(self.training, self.feature_names, where=f"{where}.training.engines, TwoTower")
        check_reason_codes(self.scoring, self.training, self.features, where=f"{where}.scoring.reason_codes")
        if self.scoring.experiment is not None:
            place = f"{where}.scoring.experiment"
            check_experiment(self.scoring.experiment, self.key, self.problem, self.schedule, where=place)

    @property
    def key(self) -> tuple[str, ...]:
        """Names of the columns that identify a row within a night."""
        return tuple(column.name for column in (*self.entity.key, *self.problem.key_columns))

    @property
    def row_columns(self) -> tuple[Column, ...]:
        """Columns of the feature table and the score table that say what a row is for."""
        return (*self.entity.columns, *self.problem.key_columns, *self.problem.carried_columns)

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Names of the model inputs, in order."""
        return tuple(feature.name for feature in self.features.columns)

    @property
    def decisive_metric(self) -> str:
        """Metric that compares models in the gate, and that training watches on the validation days."""
        return self.gate.decisive(self.problem.metrics).name

    @property
    def matured_after_nights(self) -> int:
        """Nights after which a scored night is judged: as declared, or two nights after its labels have landed."""
        declared = self.monitoring.performance.matured_after_nights
        return self.target.label_horizon_nights + 2 if declared is None else declared

    @property
    def feature_table(self) -> TableSchema:
        """Schema of ``features/<name>``: the features of each entity and night."""
        known = {column.name for column in self.row_columns}
        features = tuple(f.column for f in self.features.columns if f.name not in known)
        return TableSchema(
            name=f"features/{self.name}",
            comment=f"{self.title}: features as known at the prediction moment.",
            columns=(DS, *self.row_columns, *features),
            key=self.key,
        )

    @property
    def label_table(self) -> TableSchema:
        """Schema of ``labels/<name>``: the label of each entity and night."""
        return TableSchema(
            name=f"labels/{self.name}",
            comment=f"{self.title}: labels, as landed on night ds.",
            columns=(
                DS,
                *self.entity.key,
                *self.problem.key_columns,
                Column("label", self.problem.label_type, self.target.label),
                Column("outcome", "string", "What happened to the entity.", nullable=False),
                Column("known_at", "timestamp", "When the label became known (UTC); null without a label."),
            ),
            key=self.key,
        )

    @property
    def score_table(self) -> TableSchema:
        """Schema of ``scores/<name>``: predictions, with the model version, features and run that made them."""
        return TableSchema(
            name=f"scores/{self.name}",
            comment=f"{self.title}: one row per entity and night.",
            columns=(
                DS,
                *self.row_columns,
                *self.problem.prediction_columns(self.target.prediction),
                Column("model_name", "string", "Registered model that scored the row.", nullable=False),
                Column("model_version", "string", "Its version in the registry.", nullable=False),
                Column("model_sha256", "string", "SHA-256 of the model's files.", nullable=False),
                Column("features_version", "long", "Delta version of the feature table read.", nullable=False),
                Column("dag_run_id", "string", "Airflow run that scored the night.", nullable=False),
                Column(
                    "scored_at",
                    "timestamp",
                    "Prediction moment (UTC): the local midnight that ends ds, the same at every rerun.",
                    nullable=False,
                ),
                # Keep these last: schema evolution appends columns.
                *self.problem.decision_columns,
                FALLBACK_REASON,
                *self.scoring.reason_columns,
                *(EXPERIMENT_COLUMNS if self.scoring.experiment else ()),
            ),
            key=self.key,
        )

    @property
    def shadow_table(self) -> TableSchema:
        """Schema of ``scores_shadow/<name>``, with the columns of the score table."""
        return replace(
            self.score_table,
            name=f"scores_shadow/{self.name}",
            comment=f"{self.title}: scores of the shadow version; not used for decisions.",
        )

    @property
    def quarantine_table(self) -> TableSchema:
        """Schema of ``quarantine/<name>``: rejected rows of all tables."""
        return TableSchema(
            name=f"quarantine/{self.name}",
            comment=f"{self.title}: rejected rows, each with the rules that it broke.",
            partition_by=("ds", "table_name"),
            columns=(
                DS,
                Column("table_name", "string", "Table that the row was meant for.", nullable=False),
                Column("rules", "array<string>", "Names of the rules that the row broke.", nullable=False),
                Column("row_json", "string", "The row as JSON.", nullable=False),
                Column("dag_run_id", "string", "Airflow run that rejected it.", nullable=False),
            ),
        )

    @property
    def tables(self) -> tuple[TableSchema, ...]:
        """All tables of the use case, in the order in which a night fills them."""
        return (
            *(source.table for source in self.data.sources),
            self.quarantine_table,
            self.feature_table,
            self.label_table,
            self.score_table,
            *((self.shadow_table,) if self.scoring.shadow is not None else ()),
        )

    def source(self, name: str) -> Source:
        """Return the source ``name``.

        Raises:
            KeyError: when the use case has no such source.
        """
        for source in self.data.sources:
            if source.name == name:
                return source
        raise KeyError(f"{self.name} has no source {name}; it has {[s.name for s in self.data.sources]}")


def load_use_cases() -> list[UseCase]:
    """Load all use cases: the folders of ``include/use_cases`` with a ``use_case.py``, by name."""
    folders = sorted(module.name for module in iter_modules(import_module("use_cases").__path__) if module.ispkg)
    return [load_use_case(name) for name in folders if find_spec(f"use_cases.{name}.use_case")]


def load_use_case(name: str) -> UseCase:
    """Load the use case ``name`` from ``use_cases.<name>.use_case.USE_CASE``.

    Raises:
        ConfigurationError: when the folder does not exist.
    """
    check_identifier(name, field="use_case")
    try:
        module = import_module(f"use_cases.{name}.use_case")
    except ModuleNotFoundError as error:
        if error.name not in {f"use_cases.{name}", f"use_cases.{name}.use_case"}:
            raise
        raise ConfigurationError(
            f"unknown use case {name!r}",
            where=f"include/use_cases/{name}/use_case.py",
            fix=f"check the name, or write it with `make new-use-case NAME={name}`",
        ) from error
    use_case: UseCase = module.USE_CASE
    return use_case
