"""Age of a model: days from its last training day to the night that it scores."""

from __future__ import annotations

from datetime import date

from nightjar.lake import files, ledger
from nightjar.lake.lake import Lake
from nightjar.protocol.documents import load_json, reading
from nightjar.protocol.errors import LakeError
from nightjar.protocol.job import run_folder
from nightjar.training.data.training_set import FILE, FREEZE_TASK, TrainingSet


def model_age_days(lake: Lake, use_case: str, model_version: str, night: date) -> float | None:
    """Return the days from the last training day of a version to ``night``; None when the lake has no training set.

    The ledger's gate event of the version names the training run; the folder of that run has the training set.
    """
    gate_events = ledger.read(lake, event="gate", use_case=use_case, model_version=model_version).to_pylist()
    for event in reversed(gate_events):
        uri = f"{run_folder(lake.uri, event['dag_id'], event['run_id'])}/{FREEZE_TASK}/{FILE}"
        try:
            with reading("the training set", where=uri, fix="find out what changed the file", error=LakeError):
                training_set = load_json(TrainingSet, files.read_bytes(uri))
        except FileNotFoundError:
            continue
        return float((night - training_set.train.last).days)
    return None
