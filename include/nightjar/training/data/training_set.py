"""The frozen training set: table versions, rows and splits. It is a description and copies no rows."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta

from nightjar.declaration.features import Feature
from nightjar.lake import files
from nightjar.protocol.documents import dump_json, load_json, reading
from nightjar.protocol.errors import TrainingError
from nightjar.protocol.job import JobSpec
from nightjar.protocol.names import check_identifier
from nightjar.training.recipe import Recipe

FILE = "training_set.json"
PROFILE_FILE = "profile.json"
FREEZE_TASK = "freeze_training_set"
SELECT_TASK = "select_features"
CHOOSE_TASK = "choose_params"


@dataclass(frozen=True, kw_only=True)
class Split:
    """One part of the training set, in whole days.

    Attributes:
        first: First label day.
        last: Last label day, included.
        days: The label days that have labelled rows, ascending.
        rows: Labelled rows.
        labels: Rows by group of labels; see
            :attr:`nightjar.problems.problem_type.ProblemType.label_counts`.
    """

    first: date
    last: date
    days: tuple[date, ...]
    rows: int
    labels: Mapping[str, int]


@dataclass(frozen=True, kw_only=True)
class DayCount:
    """Labelled rows of one label day, and how many of them are in each group of labels."""

    day: date
    rows: int
    labels: Mapping[str, int]


@dataclass(frozen=True, kw_only=True)
class TrainingSet:
    """Everything that training and evaluation need to read the same rows and to train the same model.

    Attributes:
        use_case: Its name.
        tables: Delta table name to the version that is read.
        key: Columns that join features and labels.
        features: The model's inputs, in the model's column order.
        categories: Categorical feature to its sorted vocabulary, from the training rows only. Values of a warm start's
            base come first, in its order.
        train: Rows to fit.
        validation: Rows for early stopping, ensemble weights and calibration.
        holdout: Rows for the gate.
        recipe: How to train.
        label_horizon_nights: Nights from the features to their label, see :func:`night_of`; 1 for training sets that
            were frozen before it could be declared.
    """

    use_case: str
    tables: Mapping[str, int]
    key: tuple[str, ...]
    features: tuple[Feature, ...]
    categories: Mapping[str, tuple[str, ...]]
    train: Split
    validation: Split
    holdout: Split
    recipe: Recipe
    label_horizon_nights: int = 1

    def __post_init__(self) -> None:
        check_identifier(self.use_case, field="use_case")  # it becomes part of table names

    @property
    def sha256(self) -> str:
        """SHA-256 of the canonical JSON; equal for training sets that give the same model."""
        return hashlib.sha256(dump_json(self).encode()).hexdigest()

    @property
    def rows(self) -> tuple[object, ...]:
        """Table versions, splits and the horizon of the labels, which determine the rows."""
        return self.tables, self.train, self.validation, self.holdout, self.label_horizon_nights

    @classmethod
    def of_run(cls, spec: JobSpec) -> TrainingSet:
        """Return the training set that this run trains on, written by the last stage of its recipe.

        Raises:
            TrainingError: when it is missing, or a stage has written one with other rows.
        """
        frozen = _read(spec, FREEZE_TASK)
        return _left(spec, frozen, _stages(frozen.recipe)[-1])

    @classmethod
    def input_of(cls, spec: JobSpec, stage: str) -> TrainingSet:
        """Return the input of ``stage`` (a task), written by the stage before it.

        Raises:
            TrainingError: as :meth:`of_run`, and when the frozen recipe does not declare this stage.
        """
        frozen = _read(spec, FREEZE_TASK)
        stages = _stages(frozen.recipe)
        if stage not in stages:
            raise TrainingError(
                f"this run was frozen before the use case declared {stage}",
                where=training_set_uri(spec),
                fix=f"clear the task {FREEZE_TASK} of this run, with all that follow it, and with force",
            )
        return _left(spec, frozen, stages[stages.index(stage) - 1])


def training_set_uri(spec: JobSpec, stage: str = FREEZE_TASK) -> str:
    """Return the URI of a stage's training set; only the first stage selects rows."""
    return f"{spec.run_dir}/{stage}/{FILE}"


def _stages(recipe: Recipe) -> list[str]:
    """Return the tasks that write a training set, in order, for the frozen recipe.

    A stage removes its own step from the recipe that it writes. A final (registered) training set therefore has no
    further stage.
    """
    select = [SELECT_TASK] if recipe.selection else []
    choose = [CHOOSE_TASK] if recipe.tuning else []
    return [FREEZE_TASK, *select, *choose]


def _left(spec: JobSpec, frozen: TrainingSet, stage: str) -> TrainingSet:
    """Return the training set of a stage, which must have the rows that are frozen now."""
    if stage == FREEZE_TASK:
        return frozen
    written = _read(spec, stage)
    if written.rows != frozen.rows:
        raise TrainingError(
            f"the training set of {stage} has other rows than this run's frozen set",
            where=training_set_uri(spec, stage),
            fix=f"clear the task {_stages(frozen.recipe)[1]} of this run with all that follow it",
        )
    return written


def _read(spec: JobSpec, stage: str) -> TrainingSet:
    uri = training_set_uri(spec, stage)
    fix = f"find out who changed the file; clear the task {stage} of this run with force, and all that follow it"
    try:
        with reading("the training set", where=uri, fix=fix, error=TrainingError):
            return load_json(TrainingSet, files.read_bytes(uri))
    except FileNotFoundError as error:
        problem = (
            "this run has no frozen training set" if stage == FREEZE_TASK else f"{stage} has written no training set"
        )
        raise TrainingError(problem, where=uri, fix=f"clear the task {stage} of this run") from error


def night_of(day: date, label_horizon_nights: int) -> date:
    """Return the night whose features predict label day ``day``: the labels of night N land ``horizon`` nights later.

    Args:
        day: Night on which labels landed.
        label_horizon_nights: As declared by ``Target``.
    """
    return day - timedelta(days=label_horizon_nights)
