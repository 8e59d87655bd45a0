"""The trials of one engine: a study that workers share, die in and come back to. Optuna keeps it."""

from __future__ import annotations

import hashlib
import os
import time
from typing import TYPE_CHECKING, Any

from nightjar.declaration.spaces import Choice, FloatRange, IntRange
from nightjar.declaration.training import Engine
from nightjar.lake import files
from nightjar.protocol.errors import ConfigurationError, TrainingError, UnreachableError
from nightjar.protocol.job import JobSpec
from nightjar.training.data.training_set import TrainingSet
from nightjar.training.recipe import Recipe
from nightjar.training.tuning.journal import open_journal

if TYPE_CHECKING:
    from optuna import Study, Trial
    from optuna.storages import BaseStorage
    from optuna.trial import FrozenTrial

STORAGE = "NIGHTJAR_STUDY_STORAGE"
"""Environment variable: URL of a database that all workers reach; needed where the lake is an object store."""
JOURNAL_FILE = "tune.journal"
STARTUP_TRIALS = 5
"""So many trials are completed before any is pruned."""

# What a trial is known by, beside its parameters.
_WORKER, _DECLARED, _ERROR, _PLACE = "worker", "declared", "error", "place"
# How long to wait for the worker that made the study to queue its first trial.
_PATIENCE_SECONDS = 10.0


def searched(recipe: Recipe) -> tuple[Engine, ...]:
    """The engines that have something to search."""
    return tuple(engine for engine in recipe.engines if engine.space)


class EngineStudy:
    """One engine's study, as one worker sees it.

    A study belongs to a run and a training set: a task that is cleared goes on with it, another frozen set begins anew.
    Every trial is counted once against the budget, in the order of their numbers; one that its worker left running when
    it died is not, but another with its parameters, which takes its place.

    Args:
        spec: Of the task that looks; its map index is the worker's number.
        training_set: What is trained in a trial; its recipe says how many there are.
        engine: What is searched, one of the recipe's.

    Raises:
        ConfigurationError: when there is no place for the study.
        UnreachableError: when its database does not answer.
    """

    def __init__(self, spec: JobSpec, training_set: TrainingSet, engine: Engine) -> None:
        tuning = training_set.recipe.tuning
        if tuning is None:
            raise ConfigurationError(
                "the recipe asks for no tuning", where=spec.output, fix="declare training.tuning, and freeze with force"
            )
        self.engine = engine
        self.tuning = tuning
        self._worker = spec.map_index or 0
        self._study = self._open(_storage(spec), _name(spec, training_set, engine))
        self._seed(training_set.recipe.seed)

    def take_up(self) -> int:
        """Give up the trials that an earlier try of this worker left running, and queue their parameters; how many."""
        from optuna.trial import TrialState

        left = [trial for trial in self._trials(TrialState.RUNNING) if trial.user_attrs.get(_WORKER) == self._worker]
        counted = {trial.number for trial in self._counted()}
        for trial in left:
            if trial.number in counted:  # not queued already, by a try that died here
                declared = {_DECLARED: True} if _DECLARED in trial.user_attrs else {}
                self._study.enqueue_trial(trial.params, user_attrs={**declared, _PLACE: _place(trial)})
            self._study.tell(trial.number, state=TrialState.FAIL)
        return len(left)

    @property
    def taken(self) -> bool:
        """Whether each trial of the budget is over, or some worker's."""
        from optuna.trial import TrialState

        counted = self._counted()
        return len(counted) >= self.tuning.trials and all(trial.state != TrialState.WAITING for trial in counted)

    def claim(self) -> Trial | None:
        """The next trial, for this worker alone; None when all are taken."""
        from optuna.trial import TrialState

        if self.taken:
            return None
        trial = self._study.ask()
        trial.set_user_attr(_WORKER, self._worker)
        if sum(_place(other) < _place(trial) for other in self._counted()) >= self.tuning.trials:
            self._study.tell(trial, state=TrialState.FAIL)  # another worker was quicker
            return None
        return trial

    def params(self, trial: Trial) -> dict[str, Any]:
        """The parameters to try: those queued, or what the sampler suggests after the trials so far."""
        return {name: _suggest(trial, name, span) for name, span in self.engine.space.items()}

    def report(self, trial: Trial, mean: float, folds: int) -> bool:
        """Tell the mean AUC after so many folds; whether the trial is to be given up. The declared one never is."""
        trial.report(mean, step=folds)
        return folds < self.tuning.folds and _DECLARED not in trial.user_attrs and trial.should_prune()

    def complete(self, trial: Trial, mean: float) -> None:
        """The trial is over, with the mean AUC of all folds."""
        self._study.tell(trial, mean)

    def prune(self, trial: Trial) -> None:
        """The trial is over: it was worse than most at the same fold."""
        from optuna.trial import TrialState

        self._study.tell(trial, state=TrialState.PRUNED)

    def fail(self, trial: Trial, reason: str) -> None:
        """The trial is over: its parameters cannot be trained."""
        from optuna.trial import TrialState

        trial.set_user_attr(_ERROR, reason)
        self._study.tell(trial, state=TrialState.FAIL)

    def best(self) -> FrozenTrial:
        """The completed trial with the best AUC, the first of equals.

        Raises:
            TrainingError: when none was completed.
        """
        from optuna.trial import TrialState

        if completed := self._trials(TrialState.COMPLETE):
            return max(completed, key=lambda trial: (trial.values[0], -trial.number))
        errors = [trial.user_attrs[_ERROR] for trial in self._counted() if _ERROR in trial.user_attrs]
        raise TrainingError(
            f"no trial of {self.engine.kind} was completed; {errors[-1] if errors else 'none was begun in time'}",
            where=f"space of the use case's {type(self.engine).__name__}, training.tuning",
            how_many=len(errors),
            fix="narrow the space or give more minutes, then clear freeze_training_set of this run with force",
        )

    def best_auc(self) -> float | None:
        """The best mean AUC so far; None before a trial was completed."""
        from optuna.trial import TrialState

        completed = self._trials(TrialState.COMPLETE)
        return max(trial.values[0] for trial in completed) if completed else None

    def declared_auc(self) -> float | None:
        """The mean AUC of what the use case declares; None when that trial was not completed."""
        from optuna.trial import TrialState

        completed = self._trials(TrialState.COMPLETE)
        return next((trial.values[0] for trial in completed if _DECLARED in trial.user_attrs), None)

    def counts(self) -> dict[str, int]:
        """How many trials were completed, pruned, and failed by an error of their own."""
        from optuna.trial import TrialState

        counted = self._counted()
        states = {"completed": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "failed": TrialState.FAIL}
        return {name: sum(trial.state == state for trial in counted) for name, state in states.items()}

    def _trials(self, *states: Any) -> list[FrozenTrial]:
        return self._study.get_trials(deepcopy=False, states=states or None)

    def _counted(self) -> list[FrozenTrial]:
        """One trial a place, its last; but none that was given up untried."""
        from optuna.trial import TrialState

        of_place = {_place(trial): trial for trial in self._trials()}
        return [t for t in of_place.values() if t.state != TrialState.FAIL or _ERROR in t.user_attrs]

    def _open(self, storage: BaseStorage, name: str) -> Study:
        """Make the study, which one worker alone can, or find it; its first trial is what is declared."""
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        pruner = optuna.pruners.MedianPruner(n_startup_trials=STARTUP_TRIALS)
        try:
            self._study = optuna.create_study(storage=storage, study_name=name, direction="maximize", pruner=pruner)
            patience = 0.0
        except optuna.exceptions.DuplicatedStudyError:
            self._study = optuna.load_study(storage=storage, study_name=name, pruner=pruner)
            patience = _PATIENCE_SECONDS
        deadline = time.monotonic() + patience
        while not self._trials():
            if time.monotonic() >= deadline:  # made here, or by a worker that died before it came to this
                declared = self.engine.declared()
                first = {name: declared[name] for name in self.engine.space}
                self._study.enqueue_trial(first, user_attrs={_DECLARED: True})
            else:
                time.sleep(0.05)
        return self._study

    def _seed(self, seed: int) -> None:
        """Workers suggest each their own; a worker that comes back does not begin with its first suggestions again."""
        import optuna

        mine = sum(trial.user_attrs.get(_WORKER) == self._worker for trial in self._trials())
        self._study.sampler = optuna.samplers.TPESampler(seed=seed + self._worker + 1000 * mine)


def _place(trial: Trial | FrozenTrial) -> int:
    """Where a trial stands in line: its number, or that of the trial in whose stead it is tried."""
    return int(trial.user_attrs.get(_PLACE, trial.number))


def _suggest(trial: Trial, name: str, span: IntRange | FloatRange | Choice) -> Any:
    if isinstance(span, Choice):
        return trial.suggest_categorical(name, span.values)
    if isinstance(span, IntRange):
        return trial.suggest_int(name, span.low, span.high, log=span.log)
    return trial.suggest_float(name, span.low, span.high, log=span.log)


def study_digest(spec: JobSpec, training_set: TrainingSet) -> str:
    """What tells the studies of a run on one training set from all others."""
    text = "\0".join((spec.run_dir, training_set.sha256))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _name(spec: JobSpec, training_set: TrainingSet, engine: Engine) -> str:
    return f"{spec.use_case}/{spec.run_id}/{engine.kind}/{study_digest(spec, training_set)}"


def _storage(spec: JobSpec) -> BaseStorage:
    """The database of :data:`STORAGE` where it is set, else a journal in the run's folder."""
    import optuna

    if url := os.environ.get(STORAGE):
        try:
            return optuna.storages.RDBStorage(url)
        except Exception as error:  # the driver's own; its words may hold the password
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
    with files.explained(path):
        os.makedirs(spec.run_dir, exist_ok=True)
        return optuna.storages.JournalStorage(open_journal(path))
