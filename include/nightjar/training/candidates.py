"""The candidate models of one training: the full model and its compressed versions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from nightjar.evaluation.verdict import FULL
from nightjar.lake.results import earlier_result
from nightjar.protocol.job import JobSpec
from nightjar.protocol.results import CompressedModelFiles, TrainResult
from nightjar.training.data.training_set import TrainingSet
from nightjar.training.model import TabularModel

TRAIN_TASK = "train"


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A model of a training, to be evaluated, registered and judged.

    Attributes:
        name: ``full``, or the compression.
        uri: Its model folder.
        sha256: Checksum of the folder.
        figures: Figures of a compressed model: ``bytes``, ``rows_per_second``, ``validation_score``, and the full
            model's ``full_bytes`` and ``full_rows_per_second``; empty for the full model.
    """

    name: str
    uri: str
    sha256: str
    figures: Mapping[str, float] = field(default_factory=dict)

    def load(self) -> TabularModel:
        """Load the model and check its files.

        Raises:
            ModelError: when its files were altered since the training.
        """
        return TabularModel.load(self.uri, sha256=self.sha256)


def candidates_of_run(spec: JobSpec) -> tuple[Candidate, ...]:
    """Return the candidates of this run: the full model, then compressed models in the order of their declaration.

    Raises:
        GateError: when ``train`` has no result or has failed.
        TrainingError: when the run has no frozen training set.
    """
    trained = earlier_result(spec, TrainResult)
    compressed = trained.compressed
    declared = TrainingSet.of_run(spec).recipe.compression
    full = Candidate(name=FULL, uri=model_uri(spec, FULL), sha256=trained.model_sha256)
    return (full, *(_compressed(spec, name, compressed[name]) for name in declared if name in compressed))


def model_uri(spec: JobSpec, name: str) -> str:
    """Return the URI of a model of this run; it is derived, not read from a result."""
    return f"{spec.run_dir}/{TRAIN_TASK}/model{'' if name == FULL else f'-{name}'}"


def baseline_uri(spec: JobSpec, name: str) -> str:
    """Return the URI of a baseline of this run."""
    return f"{spec.run_dir}/{TRAIN_TASK}/{name}"


def _compressed(spec: JobSpec, name: str, trained: CompressedModelFiles) -> Candidate:
    return Candidate(name=name, uri=model_uri(spec, name), sha256=trained.model_sha256, figures=trained.figures)
