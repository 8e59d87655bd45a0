"""UseCase: what to predict, from which tables, and the required quality. Standard library only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from importlib import import_module
from typing import Literal

from nightjar.declaration.checks import LANDED_COLUMNS, check_source, check_use_case
from nightjar.declaration.declared import (
    Bounds,
    Count,
    CountOrZero,
    Declaration,
    Name,
    NotNegative,
    Share,
    Text,
    check_choice,
    refuse,
)
from nightjar.declaration.experiment import EXPERIMENT_COLUMNS
from nightjar.declaration.monitoring import Drift, Performance, Retraining
from nightjar.declaration.quality import QUALITY_METRICS
from nightjar.declaration.rules import NightRule, Rule
from nightjar.declaration.scoring import FALLBACK_REASON, Scoring
from nightjar.declaration.tables import DS, Column, TableSchema
from nightjar.declaration.training import Cost, Training
from nightjar.protocol.errors import ConfigurationError
from nightjar.protocol.names import check_identifier

FeatureKind = Literal["numeric", "categorical"]

DECISION = Column(
    "decision",
    "boolean",
    "Whether the prediction reaches the model's decision threshold, above which an alarm costs less than a miss; "
    "null for a model without a threshold.",
)


@dataclass(frozen=True, kw_only=True)
class Source(Declaration):
    """A file that lands each night, and its raw table.

    Attributes:
        table: The raw table, ``raw/<name>``. Its columns except ``ds``, ``source_file`` and ``landed_at`` must be in
            the file's header, in any order.
        file: File name in the night's landing folder (CSV with a header, UTF-8, ``NA`` or empty for null).
        rules: Row rules. Nulls and duplicates of the key are checked anyway; do not repeat them.
        night_rules: Night rules: volume, freshness, missing values, distribution.
        expected_to_vary: Columns whose values are expected to vary (the date, the rain). Of these, only the share of
            nulls is compared with the last nights.
        max_rejected_share: Maximum share of rows that may break a ``reject_row`` rule before the night stops.
    """

    table: TableSchema
    file: str
    rules: tuple[Rule, ...] = ()
    night_rules: tuple[NightRule, ...] = ()
    expected_to_vary: tuple[str, ...] = ()
    max_rejected_share: Share = 0.02

    def check(self) -> None:
        """Check that table, file and rules are consistent."""
        check_source(self)

    @property
    def name(self) -> str:
        """Name of the source: the name of its raw table without ``raw/``."""
        return self.table.name.removeprefix("raw/")

    @property
    def file_columns(self) -> tuple[Column, ...]:
        """Columns of the file: those of the table without ``ds``, ``source_file`` and ``landed_at``."""
        return tuple(c for c in self.table.columns if c.name not in LANDED_COLUMNS)


@dataclass(frozen=True)
class Feature(Declaration):
    """A model input: its column in the feature table, and how the model reads it.

    ``drift=False`` excludes a column that is expected to vary (day of the week, month) from the drift verdict.
    """

    name: Name
    kind: FeatureKind
    comment: Text
    drift: bool = True

    @property
    def column(self) -> Column:
        """Column of the feature table that holds the feature."""
        return Column(self.name, "double" if self.kind == "numeric" else "string", self.comment)


@dataclass(frozen=True, kw_only=True)
class Gate(Declaration):
    """Requirements for a promotion.

    A version must also beat the baseline (logistic regression) and the champion, if there is one, on the same holdout.

    Attributes:
        floors: Metric name (``auc``, ``pr_auc``) to its minimum on the holdout.
        ceilings: Metric name (``log_loss``, ``brier``, ``calibration_error`` and, with a declared cost,
            ``expected_cost``) to its maximum on the holdout.
        decisive_metric: Metric that compares challenger and champion. For ``auc`` and ``pr_auc`` higher is better, for
            the metrics of ``ceilings`` lower.
        min_improvement: The challenger must beat the champion by more than this; a tie does not promote.
        min_holdout_rows: Minimum number of labelled rows in the holdout.
        approval: Whether a person must approve a passed version in Airflow's UI before it becomes champion.
    """

    floors: Mapping[str, float]
    ceilings: Mapping[str, float] = field(default_factory=dict)
    decisive_metric: str = "auc"
    min_improvement: NotNegative = 0.0
    min_holdout_rows: Count = 1000
    approval: bool = False

    def check(self) -> None:
        """Check metric names, and that each bound is reachable and in the right field."""
        for field_name, bounds in (("floors", self.floors), ("ceilings", self.ceilings)):
            for name, bound in bounds.items():
                self._check_bound(name, bound, field_name)
        check_choice(self.decisive_metric, QUALITY_METRICS, kind="metric", where="Gate.decisive_metric")
        high = QUALITY_METRICS[self.decisive_metric].high
        if self.min_improvement >= high:
            refuse(
                f"min_improvement is {self.min_improvement:g}, and {self.decisive_metric} lies within 0 and {high:g}",
                where="Gate.min_improvement",
                fix=f"give at least 0 and below {high:g}",
            )

    @staticmethod
    def _check_bound(name: str, bound: float, field_name: str) -> None:
        where = f"Gate.{field_name}[{name!r}]"
        check_choice(name, QUALITY_METRICS, kind="metric", where=where)
        metric = QUALITY_METRICS[name]
        own_field = "ceilings" if metric.lower_is_better else "floors"
        if field_name != own_field:
            better = "less" if metric.lower_is_better else "more"
            refuse(
                f"{field_name} names {name}, for which {better} is better", where=where, fix=f"give it in {own_field}"
            )
        if not 0 <= bound <= metric.high:
            refuse(f"{name} {bound:g} cannot be reached", where=where, fix=f"give {Bounds(0, metric.high)}")


@dataclass(frozen=True, kw_only=True)
class ScoreAudit(Declaration):
    """Limits for a night's scores before they are published.

    Attributes:
        max_mean_shift: Maximum absolute difference between the mean prediction and that of the last published night.
        max_rejected_share: Maximum share of rows that the model could not score.
    """

    max_mean_shift: Share = 0.25
    max_rejected_share: Share = 0.01


@dataclass(frozen=True, kw_only=True)
class UseCase(Declaration):
    """One use case. ``include/use_cases/<name>/use_case.py`` holds one as ``USE_CASE``.

    Attributes:
        name: Folder, DAG prefix, table and model name.
        title: Display name.
        owner: Person or team responsible for it.
        timezone: IANA time zone of its nights.
        schedule: Cron expression of the nightly run, in ``timezone``.
        training_schedule: Cron expression of the training, in ``timezone``.
        contract_version: Raise it with each breaking change of the declared tables; see
            :mod:`nightjar.validation.contract_versions`.
        first_night: Earliest night in the sources.
        last_night: Latest night in the sources; None for sources that continue.
        deadline_minutes: Minutes after its scheduled time until an unfinished night alerts.
        sources: Files that land each night.
        features_from: Name of the source with one row per row of the feature table.
        labels_from: Name of the source with one row per row of the label table.
        history_nights: Number of preceding nights that a night's features read.
        entity: Key columns of a scored entity (typed as in the feature table).
        carried: Columns of the feature table to copy into the score table, for BI.
        features: Model inputs.
        rules: Row rules of the feature table.
        label: Meaning of the label column, ``label`` in ``labels/<name>`` (1.0, 0.0 or null).
        prediction: Meaning of the prediction column.
        training: How a model is trained.
        gate: Requirements for a promotion.
        cost: Cost of errors; None for a use case without a decision threshold.
        drift: Drift thresholds.
        performance: When and where predictions are compared with labels.
        retraining: When monitoring requests a training; None for never.
        audit: Limits for a night's scores.
        scoring: Options of scoring, and its fallback.
        replay: Whether module ``landing`` of the folder replays a recorded history instead of a source system, landing
            each night's files on demand.
    """

    name: Name
    title: Text
    owner: Text
    timezone: Text
    schedule: Text
    training_schedule: Text
    first_night: date
    last_night: date | None = None
    deadline_minutes: Count = 60
    contract_version: Count = 1
    sources: tuple[Source, ...]
    features_from: str
    labels_from: str
    history_nights: CountOrZero = 0
    entity: tuple[Column, ...]
    carried: tuple[Column, ...] = ()
    features: tuple[Feature, ...]
    rules: tuple[Rule, ...] = ()
    label: Text
    prediction: Text
    training: Training
    gate: Gate
    cost: Cost | None = None
    drift: Drift = field(default_factory=Drift)
    performance: Performance = field(default_factory=Performance)
    retraining: Retraining | None = None
    audit: ScoreAudit = ScoreAudit()
    scoring: Scoring = field(default_factory=Scoring)
    replay: bool = False

    def check(self) -> None:
        """Check that all parts are consistent."""
        check_use_case(self)

    @property
    def key(self) -> tuple[str, ...]:
        """Names of the key columns of a scored entity."""
        return tuple(column.name for column in self.entity)

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Names of the model inputs, in order."""
        return tuple(feature.name for feature in self.features)

    @property
    def feature_table(self) -> TableSchema:
        """Schema of ``features/<name>``: the features of each entity and night."""
        known = {column.name for column in (*self.entity, *self.carried)}
        features = tuple(f.column for f in self.features if f.name not in known)
        return TableSchema(
            name=f"features/{self.name}",
            comment=f"{self.title}: features as known at the prediction moment.",
            columns=(DS, *self.entity, *self.carried, *features),
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
                *self.entity,
                Column("label", "double", self.label),
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
                *self.entity,
                *self.carried,
                Column("prediction", "double", self.prediction, nullable=False),
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
                *((DECISION,) if self.cost else ()),
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
            *(source.table for source in self.sources),
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
        for source in self.sources:
            if source.name == name:
                return source
        raise KeyError(f"{self.name} has no source {name}; it has {[s.name for s in self.sources]}")


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
