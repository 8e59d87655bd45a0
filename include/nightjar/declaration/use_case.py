"""UseCase: what to predict, from which tables, and how good is good enough. A declaration; standard library only."""

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
    "Whether the prediction reaches the model's decision threshold, from which on an alarm costs less than a miss; "
    "null where the model has none.",
)


@dataclass(frozen=True, kw_only=True)
class Source(Declaration):
    """A file that lands each night, and the raw table that it becomes.

    Attributes:
        table: The raw table, ``raw/<name>``. Its columns except ``ds``, ``source_file`` and ``landed_at`` are the
            file's columns, by name; the file's header must hold exactly these, in any order.
        file: File name in the night's landing folder (CSV with a header, UTF-8, ``NA`` or empty for null).
        rules: The rows' contract. The key's nulls and duplicates are rules already; do not repeat them.
        night_rules: The contract of each night as a whole: volume, freshness, missing values, distribution.
        expected_to_vary: Columns whose values are expected to vary (dates, rain): only their missing values are
            checked for anomalies against the last nights.
        max_rejected_share: The night stops when a larger share of the source's rows breaks a ``reject_row`` rule.
    """

    table: TableSchema
    file: str
    rules: tuple[Rule, ...] = ()
    night_rules: tuple[NightRule, ...] = ()
    expected_to_vary: tuple[str, ...] = ()
    max_rejected_share: Share = 0.02

    def check(self) -> None:
        """Refuse a table, file or rule that the others do not fit."""
        check_source(self)

    @property
    def name(self) -> str:
        return self.table.name.removeprefix("raw/")

    @property
    def file_columns(self) -> tuple[Column, ...]:
        return tuple(c for c in self.table.columns if c.name not in LANDED_COLUMNS)


@dataclass(frozen=True)
class Feature(Declaration):
    """One model input: its column in the feature table, and how the model reads it.

    ``drift=False`` leaves a column that is expected to vary (day of the week, month) out of the drift verdict.
    """

    name: Name
    kind: FeatureKind
    comment: Text
    drift: bool = True

    @property
    def column(self) -> Column:
        return Column(self.name, "double" if self.kind == "numeric" else "string", self.comment)


@dataclass(frozen=True, kw_only=True)
class Gate(Declaration):
    """What a version must reach to be promoted. It must beat the baseline (logistic regression) and the champion, where
    there is one, on the same holdout.

    Attributes:
        floors: Metric name to its least value (``auc``, ``pr_auc``) on the holdout.
        ceilings: Metric name to its greatest value (``log_loss``, ``brier``, ``calibration_error`` and, where a cost is
            declared, ``expected_cost``) on the holdout.
        decisive_metric: The metric by which challenger and champion are compared: of ``auc`` and ``pr_auc`` more is
            better, of those above less.
        min_improvement: The challenger must exceed the champion by more than this; a tie does not promote.
        min_holdout_rows: A holdout of fewer labelled rows cannot be judged.
        approval: A person must approve in Airflow's UI before a version that passed becomes champion.
    """

    floors: Mapping[str, float]
    ceilings: Mapping[str, float] = field(default_factory=dict)
    decisive_metric: str = "auc"
    min_improvement: NotNegative = 0.0
    min_holdout_rows: Count = 1000
    approval: bool = False

    def check(self) -> None:
        """Refuse unknown metrics, bounds that no model can reach, and those on the wrong side."""
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
                f"{field_name} names {name}, of which {better} is better", where=where, fix=f"give it in {own_field}"
            )
        if not 0 <= bound <= metric.high:
            refuse(f"{name} {bound:g} cannot be reached", where=where, fix=f"give {Bounds(0, metric.high)}")


@dataclass(frozen=True, kw_only=True)
class ScoreAudit(Declaration):
    """What a night's scores must keep before they are published.

    Attributes:
        max_mean_shift: Greatest absolute difference of the mean prediction from the last published night's.
        max_rejected_share: Greatest share of rows that the model could not take.
    """

    max_mean_shift: Share = 0.25
    max_rejected_share: Share = 0.01


@dataclass(frozen=True, kw_only=True)
class UseCase(Declaration):
    """One use case. ``include/use_cases/<name>/use_case.py`` holds one as ``USE_CASE``.

    Attributes:
        name: Folder, DAG prefix, table and model name.
        title: For people.
        owner: Who answers for it.
        timezone: IANA zone in which nights begin and end.
        schedule: Cron expression of the nightly run, in ``timezone``.
        training_schedule: Cron expression of the training, in ``timezone``.
        contract_version: Raised with a change of the declared tables that breaks their readers; see
            :mod:`nightjar.validation.contract_versions`.
        first_night: Earliest night that the sources hold.
        last_night: Latest night that the sources hold; None when they go on.
        deadline_minutes: A scheduled night alerts when it is not done this long after its time.
        sources: What lands each night.
        features_from: Name of the source that has one row for each row of the feature table.
        labels_from: Name of the source that has one row for each row of the label table.
        history_nights: Nights before a night whose rows its features look at.
        entity: Key columns of a scored thing (typed as in the feature table).
        carried: Columns of the feature table that BI wants beside the score.
        features: The model's inputs.
        rules: Contract of the feature table.
        label: Meaning of the label column, ``label`` in ``labels/<name>`` (1.0, 0.0 or null).
        prediction: Meaning of the prediction column.
        training: How a model is trained.
        gate: What a version must reach.
        cost: What errors cost; None when nothing is decided by a threshold.
        drift: When a night has drifted.
        performance: When a night is judged against the truth, and where.
        retraining: When monitoring asks for a training; None for never.
        audit: What scores must keep.
        scoring: What else scoring does, and what it falls back to.
        replay: True when a recorded history stands in for a source system: module ``landing`` of the folder then
            lands each night's files on demand.
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
        """Refuse parts that do not fit each other."""
        check_use_case(self)

    @property
    def key(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.entity)

    @property
    def feature_names(self) -> tuple[str, ...]:
        return tuple(feature.name for feature in self.features)

    @property
    def feature_table(self) -> TableSchema:
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
        return TableSchema(
            name=f"labels/{self.name}",
            comment=f"{self.title}: the truth, as landed on night ds.",
            columns=(
                DS,
                *self.entity,
                Column("label", "double", self.label),
                Column("outcome", "string", "What became of the entity.", nullable=False),
                Column("known_at", "timestamp", "When the label came to be known (UTC); null without a label."),
            ),
            key=self.key,
        )

    @property
    def score_table(self) -> TableSchema:
        return TableSchema(
            name=f"scores/{self.name}",
            comment=f"{self.title}: one row per entity and night.",
            columns=(
                DS,
                *self.entity,
                *self.carried,
                Column("prediction", "double", self.prediction, nullable=False),
                Column("model_name", "string", "Registered model that spoke.", nullable=False),
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
                # last, where they come to lie in a table that is older than their declaration
                *((DECISION,) if self.cost else ()),
                FALLBACK_REASON,
                *self.scoring.reason_columns,
                *(EXPERIMENT_COLUMNS if self.scoring.experiment else ()),
            ),
            key=self.key,
        )

    @property
    def shadow_table(self) -> TableSchema:
        return replace(
            self.score_table,
            name=f"scores_shadow/{self.name}",
            comment=f"{self.title}: what a challenger would have said; nobody acts on it.",
        )

    @property
    def quarantine_table(self) -> TableSchema:
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
        """All of its tables, in the order in which a night fills them."""
        return (
            *(source.table for source in self.sources),
            self.quarantine_table,
            self.feature_table,
            self.label_table,
            self.score_table,
            *((self.shadow_table,) if self.scoring.shadow is not None else ()),
        )

    def source(self, name: str) -> Source:
        for source in self.sources:
            if source.name == name:
                return source
        raise KeyError(f"{self.name} has no source {name}; it has {[s.name for s in self.sources]}")


def load_use_case(name: str) -> UseCase:
    """Return the use case ``name``, from ``use_cases.<name>.use_case.USE_CASE``.

    Raises:
        ConfigurationError: when there is no such folder.
    """
    check_identifier(name, field="use_case")
    try:
        module = import_module(f"use_cases.{name}.use_case")
    except ModuleNotFoundError as error:
        if error.name not in {f"use_cases.{name}", f"use_cases.{name}.use_case"}:
            raise
        raise ConfigurationError(
            f"there is no use case {name!r}",
            where=f"include/use_cases/{name}/use_case.py",
            fix=f"check the name, or write it with `make new-use-case NAME={name}`",
        ) from error
    use_case: UseCase = module.USE_CASE
    return use_case
