"""The drift reference: the profile that a model brings with it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from nightjar.lake import files
from nightjar.monitoring.profiles.profile import Profile
from nightjar.protocol.documents import reading
from nightjar.protocol.errors import ModelError

PREDICTION = "prediction"
"""The profile's column of the model's own predictions on rows that it was not fitted to."""

LABEL = "label"
"""The profile's column of the labels that the model was fitted to."""


@dataclass(frozen=True)
class Reference:
    """A model's profile, and the SHA-256 of the model folder that it belongs to."""

    profile: Profile
    sha256: str

    def check_scored(self, sha256: set[str], *, where: str) -> None:
        """Refuse to compare scores with the reference of a model that did not make them.

        Args:
            sha256: ``model_sha256`` of the scores concerned.
            where: The table of scores.

        Raises:
            ModelError: when another model made any of them.
        """
        if others := sha256 - {self.sha256}:
            raise ModelError(
                f"the scores come from another model ({', '.join(sorted(others))}) than this run's ({self.sha256})",
                where=where,
                how_many=len(others),
                fix="clear the task score of this run, and what follows it",
            )


def read_reference(folder: str) -> Reference:
    """The profile in a model folder, checked against the folder's sums.

    Raises:
        ModelError: when a file is missing or altered.
    """
    where = f"{folder}/profile.json"
    try:
        sums, content = files.read_bytes(f"{folder}/SHA256SUMS"), files.read_bytes(where)
    except FileNotFoundError as error:
        raise ModelError(
            f"the model has no drift reference ({error})", where=where, fix="train and promote a model again"
        ) from error
    if f"{hashlib.sha256(content).hexdigest()}  profile.json".encode() not in sums.splitlines():
        raise ModelError("the drift reference was altered", where=where, fix="restore the model folder, or train again")
    with reading("the drift reference", where=where, fix="train and promote a model again", error=ModelError):
        profile = Profile.from_json(content)
    return Reference(profile, hashlib.sha256(sums).hexdigest())
