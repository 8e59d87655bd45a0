"""Choose the best trial of each engine: ``python -m nightjar_jobs.choose_params --spec <uri>``."""

from __future__ import annotations

import logging
from dataclasses import replace

from nightjar.lake import files
from nightjar.protocol.documents import dump_json
from nightjar.protocol.job import JobSpec
from nightjar.protocol.results import ChooseParamsResult
from nightjar.registry.trials import TrialRuns
from nightjar.training.data.training_set import CHOOSE_TASK, TrainingSet, training_set_uri
from nightjar.training.tuning.study import EngineStudy, engines_to_tune, study_digest
from nightjar_jobs.runner import main

log = logging.getLogger(__name__)


def run(spec: JobSpec) -> ChooseParamsResult:
    """Write the training set with the parameters of each engine's best completed trial.

    Returns:
        ``metrics`` of each engine: ``<engine>_best_<metric>``, ``<engine>_declared_<metric>`` (of the declared
        parameters, if that trial was completed), ``<engine>_trials_completed``, ``_pruned`` and ``_failed``.
        ``links``: ``mlflow_run``.

    Raises:
        TrainingError: when an engine has no completed trial, or the run was frozen without tuning.
        ConfigurationError: when no storage for a study is configured.
        UnreachableError: when the study's database does not answer.
    """
    source = TrainingSet.input_of(spec, CHOOSE_TASK)
    recipe = replace(source.recipe, tuning=None)  # tuning is finished
    chosen: dict[str, dict[str, bool | int | float | str | None]] = {}
    metrics: dict[str, float] = {}
    for engine in engines_to_tune(source.recipe):
        study = EngineStudy(spec, source, engine)
        best, declared = study.best(), study.declared_score()
        chosen[engine.name] = dict(best.params)
        recipe = recipe.with_engine(engine.with_params(best.params))
        metrics[f"{engine.name}_best_{study.metric.name}"] = best.values[0]
        if declared is not None:
            metrics[f"{engine.name}_declared_{study.metric.name}"] = declared
        metrics |= {f"{engine.name}_trials_{name}": float(number) for name, number in study.counts().items()}
        log.info("%s: trial %d is the best of %s: %s", engine.name, best.number, study.counts(), best.params)
        log.info(
            "%s: %s %.4f, with the declared parameters %s", engine.name, study.metric.name, best.values[0], declared
        )
    training_set = replace(source, recipe=recipe)
    uri = training_set_uri(spec, CHOOSE_TASK)
    files.write_text(uri, dump_json(training_set))
    params = {
        f"{engine}.{name}": value for engine, best_params in chosen.items() for name, value in best_params.items()
    }
    page = TrialRuns.of_run(spec, study_digest(spec, source)).close(params, metrics)
    return ChooseParamsResult(
        inputs=training_set.tables,
        metrics=metrics,
        training_set=uri,
        training_set_sha256=training_set.sha256,
        params=chosen,
        links={"mlflow_run": page} if page else {},
    )


if __name__ == "__main__":
    main(run)
