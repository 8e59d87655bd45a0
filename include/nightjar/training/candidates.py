"""The models that one training leaves: the full one, and the smaller ones made from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from nightjar.evaluation.verdict import FULL
from nightjar.lake.results import earlier_result
from nightjar.protocol.job import JobSpec
from nightjar.training.data.training_set import TrainingSet
from nightjar.training.model import TabularModel

TRAIN_TASK = "train"


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A model of a training, to be measured, registered and judged.

    Attributes:
        name: ``full``, or how it was made smaller.
        uri: Its model folder.
        sha256: Of the folder.
        figures: What is known of a smaller one: ``bytes``, ``rows_per_second``, ``validation_auc``, and the full
            model's ``full_bytes`` and ``full_rows_per_second``.
    """

    name: str
    uri: str
    sha256: str
    figures: Mapping[str, float] = field(default_factory=dict)

    def load(self) -> TabularModel:
        """The model, checked.

        Raises:
            ModelError: when its files were altered since the training.
        """
        return TabularModel.load(self.uri, sha256=self.sha256)


def candidates_of_run(spec: JobSpec) -> tuple[Candidate, ...]:
    """What this run's training has left: the full model, then the smaller ones in the order of their declaration.

    Raises:
        GateError: when ``train`` has no result, or has failed.
        TrainingError: when the run has frozen no training set.
    """
    trained = earlier_result(spec, TRAIN_TASK).values
    compressed = trained.get("compressed", {})
    declared = TrainingSet.of_run(spec).recipe.compression
    full = Candidate(name=FULL, uri=model_uri(spec, FULL), sha256=trained["model_sha256"])
    return (full, *(_smaller(spec, name, compressed[name]) for name in declared if name in compressed))


def model_uri(spec: JobSpec, name: str) -> str:
    """Return where this run's training leaves a model; what a result says of it is not followed."""
    return f"{spec.run_dir}/{TRAIN_TASK}/model{'' if name == FULL else f'-{name}'}"


def baseline_uri(spec: JobSpec) -> str:
    """Return where this run's training leaves the baseline."""
    return f"{spec.run_dir}/{TRAIN_TASK}/baseline"


def _smaller(spec: JobSpec, name: str, said: Mapping[str, Any]) -> Candidate:
    figures = {key: value for key, value in said.items() if key not in ("model", "model_sha256")}
    return Candidate(name=name, uri=model_uri(spec, name), sha256=said["model_sha256"], figures=figures)
