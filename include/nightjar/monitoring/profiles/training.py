"""Profiles that a training stores with its model: of the training rows, and of the predictions on validation days."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from nightjar.lake import files
from nightjar.monitoring.profiles.profile import Profile, ProfiledColumn, merge_all
from nightjar.monitoring.profiles.reference import PREDICTION
from nightjar.monitoring.profiles.summarize import profile_arrays
from nightjar.problems.problem_type import ProblemType
from nightjar.protocol.documents import reading
from nightjar.protocol.errors import TrainingError
from nightjar.protocol.job import JobSpec
from nightjar.training.data.training_set import FREEZE_TASK, PROFILE_FILE
from nightjar.training.distributed.rendezvous import Group

if TYPE_CHECKING:
    from nightjar.problems.arrays import Outputs


def read_training_profile(spec: JobSpec) -> Profile:
    """Read the profile of the run's training rows, written when they were frozen.

    Raises:
        TrainingError: when the file was altered.
    """
    uri = f"{spec.run_dir}/{FREEZE_TASK}/{PROFILE_FILE}"
    fix = f"find out who changed the file; clear {FREEZE_TASK} of this run with force"
    with reading("the profile of the training rows", where=uri, fix=fix, error=TrainingError):
        return Profile.from_json(files.read_bytes(uri))


def profile_predictions(group: Group, problem: ProblemType, outputs: Outputs) -> Profile:
    """Return the profile of all ranks' predictions, in rank 0's bins; all ranks call it.

    Args:
        group: The ranks.
        problem: The problem type, whose column ``prediction`` is profiled.
        outputs: The model's outputs for this rank's validation rows.
    """
    import pyarrow as pa

    predictions = problem.columns(outputs)[PREDICTION]
    kind: Literal["numeric", "categorical"] = "categorical" if pa.types.is_string(predictions.type) else "numeric"
    columns = [ProfiledColumn(PREDICTION, kind)]
    data = {PREDICTION: predictions.to_numpy(zero_copy_only=False)}
    first_profile = profile_arrays(data, columns).to_json() if group.contract.rank == 0 else ""
    reference = Profile.from_json(group.exchange(first_profile)[0])
    own_profile = profile_arrays(data, columns, reference)
    return merge_all([Profile.from_json(text) for text in group.exchange(own_profile.to_json())])


def add_predictions(profile: Profile, predictions: Profile) -> Profile:
    """Return ``profile`` with the predictions of :func:`profile_predictions`, in place of those that it has."""
    return profile.with_column(PREDICTION, predictions.columns[PREDICTION])
