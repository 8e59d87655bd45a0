"""The trials of one engine: an Optuna study that several workers share and resume."""

from __future__ import annotations

import hashlib
import os
import time
from typing import TYPE_CHECKING, Any, Literal

from nightjar.declaration.engines import DeclaredEngine
from nightjar.declaration.spaces import Choice, FloatRange, IntRange
from nightjar.lake import files
from nightjar.protocol.errors import ConfigurationError, TrainingError, UnreachableError
from nightjar.protocol.job import JobSpec
from nightjar.training.data.training_set import TrainingSet
from nightjar.training.engines.validation import ValidationMetric
from nightjar.training.recipe import Recipe
from nightjar.training.tuning.journal import open_journal

if TYPE_CHECKING:
    from optuna import Study, Trial
    from optuna.storages import BaseStorage
    from optuna.trial import FrozenTrial

STORAGE = "NIGHTJAR_STUDY_STORAGE"
"""Environment variable: URL of a database that all workers can reach; required when the lake is an object store."""
JOURNAL_FILE = "tune.journal"
STARTUP_TRIALS = 5
"""Number of completed trials before any is pruned."""

# Names of a trial's user attributes.
_WORKER, _DECLARED, _ERROR, _POSITION = "worker", "declared", "error", "place"
# How long to wait until the worker that created the study has queued its first trial.
_PATIENCE_SECONDS = 10.0


def engines_to_tune(recipe: Recipe) -> tuple[DeclaredEngine, ...]:
    """Return the engines that declare a search space."""
    return tuple(engine for engine in recipe.engines if engine.space)


class EngineStudy:
    """One engine's study, used by one worker.

    A study belongs to a run and a training set: a cleared task continues it, another frozen set starts a new one. Each
    trial counts once against the budget, in the order of their numbers. A trial that a dead worker has left running
    does not count; a new trial with its parameters takes its position.

    Args:
        spec: Job of the task; its map index is the worker's number.
        training_set: The training set; its recipe declares the budget.
        engine: The engine to tune, one of the recipe's.

    Raises:
        ConfigurationError: when no storage for the study is configured.
        UnreachableError: when its database does not answer.
    """

    def __init__(self, spec: JobSpec, training_set: TrainingSet, engine: DeclaredEngine) -> None:
        tuning = training_set.recipe.tuning
        if tuning is None:
            raise ConfigurationError(
                "the recipe declares no tuning", where=spec.output, fix="declare training.tuning, and freeze with force"
            )
        self.engine = engine
        self.tuning = tuning
        self.metric = ValidationMetric.of(training_set.recipe).metric
        self._worker = spec.map_index or 0
        self._study = self._open(_storage(spec), _name(spec, training_set, engine))
        self._seed(training_set.recipe.seed)

    def requeue_unfinished(self) -> int:
        """Fail the trials that an earlier attempt of this worker left running; queue them again; return how many."""
        from optuna.trial import TrialState

        unfinished = [
            trial for trial in self._trials(TrialState.RUNNING) if trial.user_attrs.get(_WORKER) == self._worker
        ]
        counted = {trial.number for trial in self._counted()}
        for trial in unfinished:
            if trial.number in counted:  # otherwise an earlier attempt has queued it already
                declared = {_DECLARED: True} if _DECLARED in trial.user_attrs else {}
                self._study.enqueue_trial(trial.params, user_attrs={**declared, _POSITION: _position(trial)})
            self._study.tell(trial.number, state=TrialState.FAIL)
        return len(unfinished)

    @property
    def is_exhausted(self) -> bool:
        """Whether each trial of the budget has finished or is claimed by a worker."""
        from optuna.trial import TrialState

        counted = self._counted()
        return len(counted) >= self.tuning.trials and all(trial.state != TrialState.WAITING for trial in counted)

    def claim(self) -> Trial | None:
        """Claim the next trial for this worker; None when all are taken."""
        from optuna.trial import TrialState

        if self.is_exhausted:
            return None
        trial = self._study.ask()
        trial.set_user_attr(_WORKER, self._worker)
        if sum(_position(counted) < _position(trial) for counted in self._counted()) >= self.tuning.trials:
            self._study.tell(trial, state=TrialState.FAIL)  # another worker was faster
            return None
        return trial

    def params(self, trial: Trial) -> dict[str, Any]:
        """Return the trial's parameters: queued ones, or the sampler's suggestion."""
        return {name: _suggest(trial, name, span) for name, span in self.engine.space.items()}

    def report(self, trial: Trial, mean: float, folds: int) -> bool:
        """Report the mean metric after ``folds`` folds; return whether to prune. The declared trial is never pruned."""
        trial.report(mean, step=folds)
        return folds < self.tuning.folds and _DECLARED not in trial.user_attrs and trial.should_prune()

    def complete(self, trial: Trial, mean: float) -> None:
        """Complete the trial with the mean metric of all folds."""
        self._study.tell(trial, mean)

    def prune(self, trial: Trial) -> None:
        """Prune the trial: it was worse than most trials at the same fold."""
        from optuna.trial import TrialState

        self._study.tell(trial, state=TrialState.PRUNED)

    def fail(self, trial: Trial, reason: str) -> None:
        """Fail the trial: its parameters cannot be trained."""
        from optuna.trial import TrialState

        trial.set_user_attr(_ERROR, reason)
        self._study.tell(trial, state=TrialState.FAIL)

    def best(self) -> FrozenTrial:
        """Return the completed trial with the best validation metric, the first of equal ones.

        Raises:
            TrainingError: when no trial was completed.
        """
        from optuna.trial import TrialState

        if completed := self._trials(TrialState.COMPLETE):
            best = self.metric.best(trial.values[0] for trial in completed)
            return min((t for t in completed if t.values[0] == best), key=lambda trial: trial.number)
        errors = [trial.user_attrs[_ERROR] for trial in self._counted() if _ERROR in trial.user_attrs]
        raise TrainingError(
            f"no trial of {self.engine.name} was completed; {errors[-1] if errors else 'none was started in time'}",
            where=f"space of the use case's {type(self.engine).__name__}, training.tuning",
            how_many=len(errors),
            fix="narrow the space or give more minutes, then clear freeze_training_set of this run with force",
        )

    def best_score(self) -> float | None:
        """Return the best mean metric so far; None before the first completed trial."""
        from optuna.trial import TrialState

        completed = self._trials(TrialState.COMPLETE)
        return self.metric.best(trial.values[0] for trial in completed) if completed else None

    def declared_score(self) -> float | None:
        """Return the mean metric of the declared parameters; None when that trial was not completed."""
        from optuna.trial import TrialState

        completed = self._trials(TrialState.COMPLETE)
        return next((trial.values[0] for trial in completed if _DECLARED in trial.user_attrs), None)

    def counts(self) -> dict[str, int]:
        """Count the trials that were completed, pruned, or failed by their own error."""
        from optuna.trial import TrialState

        counted = self._counted()
        states = {"completed": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "failed": TrialState.FAIL}
        return {name: sum(trial.state == state for trial in counted) for name, state in states.items()}

    def _trials(self, *states: Any) -> list[FrozenTrial]:
        return self._study.get_trials(deepcopy=False, states=states or None)

    def _counted(self) -> list[FrozenTrial]:
        """Return the last trial of each position, without those that were given up untried."""
        from optuna.trial import TrialState

        by_position = {_position(trial): trial for trial in self._trials()}
        return [t for t in by_position.values() if t.state != TrialState.FAIL or _ERROR in t.user_attrs]

    def _open(self, storage: BaseStorage, name: str) -> Study:
        """Create the study, which only one worker can, or load it; its first trial has the declared parameters."""
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        direction: Literal["minimize", "maximize"] = "minimize" if self.metric.lower_is_better else "maximize"
        pruner = optuna.pruners.MedianPruner(n_startup_trials=STARTUP_TRIALS)
        try:
            self._study = optuna.create_study(storage=storage, study_name=name, direction=direction, pruner=pruner)
            patience = 0.0
        except optuna.exceptions.DuplicatedStudyError:
            self._study = optuna.load_study(storage=storage, study_name=name, pruner=pruner)
            patience = _PATIENCE_SECONDS
        deadline = time.monotonic() + patience
        while not self._trials():
            if time.monotonic() >= deadline:  # created here, or by a worker that died before it queued a trial
                declared = self.engine.declared()
                first = {name: declared[name] for name in self.engine.space}
                self._study.enqueue_trial(first, user_attrs={_DECLARED: True})
            else:
                time.sleep(0.05)
        return self._study

    def _seed(self, seed: int) -> None:
        """Seed the sampler by worker and attempt, so that neither repeats suggestions."""
        import optuna

        attempts = sum(trial.user_attrs.get(_WORKER) == self._worker for trial in self._trials())
        self._study.sampler = optuna.samplers.TPESampler(seed=seed + self._worker + 1000 * attempts)


def _position(trial: Trial | FrozenTrial) -> int:
    """Return a trial's position in the budget: its number, or that of the trial that it replaces."""
    return int(trial.user_attrs.get(_POSITION, trial.number))


def _suggest(trial: Trial, name: str, span: IntRange | FloatRange | Choice) -> Any:
    if isinstance(span, Choice):
        return trial.suggest_categorical(name, span.values)
    if isinstance(span, IntRange):
        return trial.suggest_int(name, span.low, span.high, log=span.log)
    return trial.suggest_float(name, span.low, span.high, log=span.log)


def study_digest(spec: JobSpec, training_set: TrainingSet) -> str:
    """Return a digest that identifies a run's studies on one training set."""
    text = "\0".join((spec.run_dir, training_set.sha256))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _name(spec: JobSpec, training_set: TrainingSet, engine: DeclaredEngine) -> str:
    return f"{spec.use_case}/{spec.run_id}/{engine.name}/{study_digest(spec, training_set)}"


def _storage(spec: JobSpec) -> BaseStorage:
    """Return the database of :data:`STORAGE` if set, else a journal in the run's folder."""
    import optuna

    if url := os.environ.get(STORAGE):
        try:
            return optuna.storages.RDBStorage(url)
        except Exception as error:  # the driver's own; its message may contain the password
            raise UnreachableError(
                f"the database of the studies does not answer ({type(error).__name__})",
                where=STORAGE,
                fix="check its address and credentials, and that its driver is installed; then clear the task",
            ) from None
    if "://" in spec.lake:
        raise ConfigurationError(
            "workers cannot share a study in an object store",
            where=STORAGE,
            fix="set it to the URL of a database that all workers reach, in pods by a Secret (docs/configuration.md)",
        )
    path = f"{spec.run_dir}/{JOURNAL_FILE}"
    with files.storage_errors(path):
        os.makedirs(spec.run_dir, exist_ok=True)
        return optuna.storages.JournalStorage(open_journal(path))
