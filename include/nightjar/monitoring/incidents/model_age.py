"""How old a model is: from the last day that it was trained on to the night that it scores."""

from __future__ import annotations

from datetime import date

from nightjar.lake import files, ledger
from nightjar.protocol.documents import reading
from nightjar.protocol.errors import LakeError
from nightjar.protocol.job import run_folder
from nightjar.training.data.training_set import FILE, FREEZE_TASK, TrainingSet


def model_age_days(lake: str, use_case: str, model_version: str, night: date) -> float | None:
    """Days from the last training day of a version to ``night``; None when the lake does not know its training.

    The ledger's gate event of the version names the run that trained it, and that run's folder its training set.
    """
    judged = ledger.read(lake, event="gate", use_case=use_case, model_version=model_version).to_pylist()
    for event in reversed(judged):
        uri = f"{run_folder(lake, event['dag_id'], event['run_id'])}/{FREEZE_TASK}/{FILE}"
        try:
            with reading("the training set", where=uri, fix="see who changed the file", error=LakeError):
                training_set = TrainingSet.from_json(files.read_bytes(uri))
        except FileNotFoundError:
            continue
        return float((night - training_set.train.last).days)
    return None
