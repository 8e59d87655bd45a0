"""The drift reference: the profile stored with a model."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from nightjar.lake import files
from nightjar.monitoring.profiles.profile import Profile
from nightjar.protocol.documents import reading
from nightjar.protocol.errors import ModelError

PREDICTION = "prediction"
"""Column of the model's predictions on rows that it was not fitted on."""

LABEL = "label"
"""Column of the labels that the model was fitted on."""


@dataclass(frozen=True)
class Reference:
    """A model's profile and the SHA-256 of its model folder."""

    profile: Profile
    sha256: str

    def check_scored(self, sha256: set[str], *, where: str) -> None:
        """Check that the scores come from this reference's model.

        Args:
            sha256: All ``model_sha256`` of the scores.
            where: Score table.

        Raises:
            ModelError: when another model made some of them.
        """
        if others := sha256 - {self.sha256}:
            raise ModelError(
                f"the scores come from another model ({', '.join(sorted(others))}) than this run's ({self.sha256})",
                where=where,
                how_many=len(others),
                fix="clear the task score of this run and its downstream tasks",
            )


def read_reference(folder: str) -> Reference:
    """Read the profile of a model folder and verify its checksum.

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
