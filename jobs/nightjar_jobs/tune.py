"""Run tuning trials as one worker of a shared study: ``python -m nightjar_jobs.tune --spec <uri>``."""

from __future__ import annotations

import logging
import math
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING, Any

from nightjar.lake.lake import Lake
from nightjar.protocol.errors import TrainingError
from nightjar.protocol.job import JobSpec
from nightjar.protocol.results import TuneResult
from nightjar.registry.trials import FinishedTrial, State, TrialRuns
from nightjar.training.data.training_set import CHOOSE_TASK, TrainingSet, training_set_uri
from nightjar.training.distributed.memory import out_of_memory
from nightjar.training.distributed.rendezvous import Group, LaunchContract
from nightjar.training.tuning.study import EngineStudy, engines_to_tune, study_digest
from nightjar.training.tuning.trial import FoldRows, cross_validate, read_folds
from nightjar_jobs.runner import main

if TYPE_CHECKING:
    from optuna import Trial

log = logging.getLogger(__name__)


def run(spec: JobSpec) -> TuneResult:
    """Run trials of each engine that declares a search space, until the budget of trials or minutes is used up.

    Several workers can share the studies; ``spec.map_index`` is this worker's number. A worker that was killed fails
    its unfinished trial and queues the parameters again.

    Returns:
        ``metrics``: ``trials`` of this worker and attempt, and ``<engine>_best_<metric>`` of all workers so far.

    Raises:
        TrainingError: when there are too few training days, or the run was frozen without tuning.
        ConfigurationError: when no storage for a study is configured.
        UnreachableError: when the study's database does not answer.
    """
    started = time.monotonic()
    training_set = TrainingSet.input_of(spec, CHOOSE_TASK)
    studies = [EngineStudy(spec, training_set, engine) for engine in engines_to_tune(training_set.recipe)]
    for study in studies:
        if unfinished := study.requeue_unfinished():
            log.info("%s: %d unfinished trial of an earlier attempt is retried", study.engine.name, unfinished)
    rows, trials = 0, 0
    if not all(study.is_exhausted for study in studies):
        worker = _Worker.of(spec, training_set, studies[0])
        rows = training_set.train.rows
        for position, study in enumerate(studies, start=1):
            deadline = started + 60 * study.tuning.minutes * position / len(studies)
            trials += worker.work(study, deadline)
    best = {f"{study.engine.name}_best_{study.metric.name}": study.best_score() for study in studies}
    return TuneResult(
        rows_in=rows,
        rows_out=rows,
        inputs=training_set.tables,
        metrics={"trials": float(trials), **{name: score for name, score in best.items() if score is not None}},
        training_set_sha256=training_set.sha256,
    )


@dataclass(kw_only=True)
class _Worker:
    """The inputs of a worker's trials.

    Attributes:
        training_set: The training set.
        folds: Rows of each fold.
        group: A group of this single rank.
        threads: Threads of this rank.
        number: Number of the worker.
        runs: MLflow runs of the trials.
    """

    training_set: TrainingSet
    folds: tuple[FoldRows, ...]
    group: Group
    threads: int
    number: int
    runs: TrialRuns

    @classmethod
    def of(cls, spec: JobSpec, training_set: TrainingSet, study: EngineStudy) -> _Worker:
        return cls(
            training_set=training_set,
            folds=read_folds(Lake(spec.lake), training_set, study.tuning, where=training_set_uri(spec)),
            group=Group(LaunchContract.from_environment(os.environ), spec.fingerprint, timeout_seconds=60),
            threads=spec.threads_per_rank,
            number=spec.map_index or 0,
            runs=TrialRuns.of_run(spec, study_digest(spec, training_set)),
        )

    def work(self, study: EngineStudy, deadline: float) -> int:
        """Run trials until none is left or until ``deadline`` (monotonic seconds); return their number."""
        seconds: list[float] = []
        while time.monotonic() < deadline and (trial := study.claim()) is not None:
            began = time.monotonic()
            finished = self._run_trial(study, trial)
            seconds.append(time.monotonic() - began)
            _log_trial(study, trial.number, finished, seconds, deadline)
            self.runs.record(finished)
        return len(seconds)

    def _run_trial(self, study: EngineStudy, trial: Trial) -> FinishedTrial:
        """Run one trial; parameters that cannot be trained fail only this trial."""
        started, params = time.time(), study.params(trial)
        engine, scores = study.engine.with_params(params), []
        state: State = "FINISHED"
        log.info("%s: trial %d begins: %s", engine.name, trial.number, _format_params(params))
        try:
            for score in cross_validate(engine, self.folds, self.training_set, group=self.group, threads=self.threads):
                scores.append(score)
                if study.report(trial, fmean(scores), len(scores)):
                    state = "PRUNED"
                    break
        except (TrainingError, MemoryError) as failure:
            reason = str(out_of_memory(failure, 0) or failure)
            log.warning("WARNING %s: trial %d failed: %s", engine.name, trial.number, reason)
            study.fail(trial, reason)
            state = "FAILED"
        if state == "PRUNED":
            study.prune(trial)
        if state == "FINISHED":
            study.complete(trial, fmean(scores))
        name = f"{engine.name} trial {trial.number}"
        return FinishedTrial(
            name=name,
            state=state,
            params=params,
            metric=study.metric.name,
            scores=scores,
            worker=self.number,
            started=started,
        )


def _log_trial(
    study: EngineStudy, number: int, finished: FinishedTrial, seconds: Sequence[float], deadline: float
) -> None:
    """Log one line for a finished trial."""
    tuning, best = study.tuning, study.best_score()
    finished_count = sum(study.counts().values())
    each_has = math.ceil((tuning.trials - finished_count) / tuning.workers)
    seconds_left = max(0.0, min(deadline - time.monotonic(), fmean(seconds) * each_has))
    log.info(
        "%s: trial %d %s after %d of %d folds | %s | %s %s | best %s | %d of %d trials finished | at most %.0f s left",
        study.engine.name,
        number,
        finished.state.lower(),
        len(finished.scores),
        tuning.folds,
        _format_params(finished.params),
        finished.metric,
        f"{fmean(finished.scores):.4f}" if finished.scores else "none",
        "none" if best is None else f"{best:.4f}",
        finished_count,
        tuning.trials,
        seconds_left,
    )


def _format_params(params: Mapping[str, Any]) -> str:
    formatted = {name: f"{value:.4g}" if isinstance(value, float) else value for name, value in params.items()}
    return ", ".join(f"{name} {value}" for name, value in formatted.items())


if __name__ == "__main__":
    main(run)
