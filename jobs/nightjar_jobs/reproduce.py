"""Reproduce a registered version: train it again from the files of its MLflow run and compare checksums.

``make reproduce VERSION=n``, or ``python -m nightjar_jobs.reproduce --use-case flight_delay --version n``.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from dataclasses import dataclass

from nightjar.evaluation.verdict import FULL
from nightjar.lake import files
from nightjar.lake.results import read_result
from nightjar.logs import PLAIN, log_to_stdout
from nightjar.protocol.documents import dump_json, load_json, reading
from nightjar.protocol.errors import ModelError, NightjarError, TrainingError
from nightjar.protocol.job import JobSpec
from nightjar.registry import artifacts, models
from nightjar.settings.environment import Settings
from nightjar.training.candidates import candidates_of_run
from nightjar.training.data.training_set import FILE, PROFILE_FILE, TrainingSet, night_of, training_set_uri
from nightjar.training.distributed.launch import LocalRanks
from nightjar.training.engines.boosting.model import FILE as BOOSTER_FILE
from nightjar.training.engines.network.model import WEIGHTS_FILE
from nightjar.training.model import TabularModel, read_sums

log = logging.getLogger(__name__)

DAG_ID = "reproduce"
"""DAG id in the run's folder and in the ledger."""


@dataclass(frozen=True, kw_only=True)
class Reproduction:
    """A version and its reproduction.

    Attributes:
        version: The registered version.
        sha256: File of the model folder to its SHA-256 in the registered model and in the reproduction.
    """

    version: models.ModelVersion
    sha256: dict[str, tuple[str, str]]

    @property
    def differing(self) -> tuple[str, ...]:
        """Files with different checksums."""
        return tuple(name for name, (registered, reproduced) in self.sha256.items() if registered != reproduced)


def reproduce(use_case: str, version: str) -> Reproduction:
    """Train ``version`` of ``use_case`` again on the same number of ranks and compare.

    Raises:
        ModelError: when the version does not exist, or its run lacks the training set.
        TrainingError: when it cannot be trained again (a vacuumed Delta version), or the engines' files differ.
        UnreachableError: when MLflow or the lake does not answer.
    """
    registered = models.resolve(use_case, version)
    model = models.fetch(registered)
    # a network's weights depend on the number of threads in its card; trees do not
    threads = [member.params["threads"] for member in model.card.members if "threads" in member.params]
    training_set = _training_set(registered)
    spec = JobSpec(
        program="train",
        use_case=use_case,
        first_night=night_of(training_set.train.first, training_set.label_horizon_nights),
        last_night=training_set.holdout.last,
        dag_id=DAG_ID,
        run_id=f"version-{registered.version}",
        task_id="train",
        lake=Settings.from_environment().lake,
        params={"force": True},
        world_size=model.card.world_size,
        threads_per_rank=threads[0] if threads else max(1, len(os.sched_getaffinity(0)) // model.card.world_size),
    )
    _train(spec, training_set, model.profile)
    variant = registered.tags.get(models.VARIANT_TAG, FULL)
    reproduced = next(candidate.uri for candidate in candidates_of_run(spec) if candidate.name == variant)
    sums = [read_sums(uri) for uri in (str(models.cached(registered)), reproduced)]
    reproduction = Reproduction(version=registered, sha256={name: (sums[0][name], sums[1][name]) for name in sums[0]})
    engines = {BOOSTER_FILE: "trees", WEIGHTS_FILE: "network's weights"}
    if differing := [name for name in engines if name in reproduction.differing]:
        expected, actual = reproduction.sha256[differing[0]]
        old_commit, new_commit = registered.tags.get("nightjar.git_commit"), Settings.from_environment().git_commit
        raise TrainingError(
            f"the {engines[differing[0]]} are not those of version {registered.version}: "
            f"SHA-256 {actual}, not {expected}",
            where=reproduced,
            how_many=len(reproduction.differing),
            fix=f"compare the releases: {model.card.engine} at commit {old_commit} then, "
            f"{TabularModel.load(reproduced).card.engine} at commit {new_commit} now",
        )
    return reproduction


def _training_set(version: models.ModelVersion) -> TrainingSet:
    fix = "reproduce with the release that trained it (tag nightjar.git_commit)"
    with reading(f"{FILE} of the version's run", where=version.uri, fix=fix, error=ModelError):
        return load_json(TrainingSet, artifacts.read_text(version.run_id, FILE))


def _train(spec: JobSpec, training_set: TrainingSet, profile: str) -> None:
    """Train in separate processes."""
    uri = training_set_uri(spec)
    files.write_text(uri, dump_json(training_set))
    files.write_text(f"{uri.rsplit('/', 1)[0]}/{PROFILE_FILE}", profile)
    files.write_text(f"{spec.output}/spec.json", dump_json(spec))
    ranks = LocalRanks(
        program=spec.program,
        spec_uri=f"{spec.output}/spec.json",
        world_size=spec.world_size,
        threads_per_rank=spec.threads_per_rank,
        on_line=log.info,
        # nothing is logged to MLflow: this is not a new training
        environ={name: value for name, value in os.environ.items() if name != "MLFLOW_TRACKING_URI"},
    )
    ranks.start()
    ranks.wait()
    result = read_result(f"{spec.output}/result.json")
    if result.status == "failed":
        raise TrainingError(
            f"it could not be trained again: {result.error}", where=spec.output, fix="read the error of the training"
        )


def main() -> int:
    """Print for each file whether it is the same; return 0 when the engines' files are."""
    log_to_stdout(PLAIN)
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("use-case", "version"):
        parser.add_argument(f"--{name}", required=True)
    arguments = parser.parse_args()
    try:
        reproduction = reproduce(arguments.use_case, arguments.version)
    except NightjarError as error:
        log.error("ERROR %s", error)
        return 1
    for name, (registered, reproduced) in reproduction.sha256.items():
        log.info(
            "%-14s %s",
            name,
            f"same    {reproduced}" if registered == reproduced else f"DIFFERS {registered} {reproduced}",
        )
    log.info("version %s of %s is reproduced", reproduction.version.version, reproduction.version.name)
    return 0


if __name__ == "__main__":
    sys.exit(main())
