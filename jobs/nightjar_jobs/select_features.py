"""Drop features that help less than random numbers: ``python -m nightjar_jobs.select_features --spec <uri>``."""

from __future__ import annotations

import logging
import os

from nightjar.lake import files
from nightjar.lake.lake import Lake
from nightjar.protocol.documents import dump_json
from nightjar.protocol.errors import ConfigurationError
from nightjar.protocol.job import JobSpec
from nightjar.protocol.results import SelectFeaturesResult
from nightjar.timing import timed
from nightjar.training.data.training_set import SELECT_TASK, TrainingSet, training_set_uri
from nightjar.training.distributed.rendezvous import Group, LaunchContract
from nightjar.training.tuning.selection import drop_features, features_to_drop, measure, split_rows
from nightjar_jobs.runner import main

log = logging.getLogger(__name__)


def run(spec: JobSpec) -> SelectFeaturesResult:
    """Write the training set with only the features that beat random columns on the training days.

    Returns:
        ``metrics``: ``features_kept``, ``features_dropped``.

    Raises:
        TrainingError: when no feature helps, there are too few days, or the run was frozen without selection.
        ConfigurationError: when the engine's parameters cannot be adapted to the remaining columns.
        StorageFullError: when the scratch disk is full.
    """
    source = TrainingSet.input_of(spec, SELECT_TASK)
    selection = source.recipe.selection
    if selection is None:
        raise ConfigurationError(
            "the recipe declares no selection",
            where=spec.output,
            fix="declare training.selection, and freeze with force",
        )
    where = training_set_uri(spec)
    seconds: dict[str, float] = {}
    with timed(seconds, "read"):
        train, validation = split_rows(Lake(spec.lake), source, where=where)
    group = Group(LaunchContract.from_environment(os.environ), spec.fingerprint, timeout_seconds=60)
    repeats = []
    with timed(seconds, "measure"):
        for repeat in range(selection.repeats):
            threads = spec.threads_per_rank
            importances = measure(train, validation, source, selection, repeat, group=group, threads=threads)
            repeats.append(importances)
            better = sum(importances.helps(name) for name in importances.features)
            log.info(
                "training %d of %d: %d of %d features beat the best random column",
                repeat + 1, selection.repeats, better, len(importances.features),
            )  # fmt: skip
    reasons = features_to_drop(repeats, selection, where=where)
    for name, reason in reasons.items():
        log.info("dropped %s: %s", name, reason)
    training_set = drop_features(source, list(reasons))
    uri = training_set_uri(spec, SELECT_TASK)
    files.write_text(uri, dump_json(training_set))
    return SelectFeaturesResult(
        rows_in=source.train.rows,
        rows_out=source.train.rows,
        inputs=source.tables,
        metrics={"features_kept": float(len(training_set.features)), "features_dropped": float(len(reasons))},
        training_set=uri,
        training_set_sha256=training_set.sha256,
        dropped=reasons,
        seconds=seconds,
    )


if __name__ == "__main__":
    main(run)
