"""Checkpoints, from which a killed training resumes and ends with the same model."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nightjar.lake import files
from nightjar.protocol.documents import PARSER_ERRORS, dump_json, load_json, parse_object
from nightjar.protocol.errors import ConfigurationError, LakeError, TrainingError
from nightjar.protocol.job import JobSpec
from nightjar.training.distributed.rendezvous import Group

log = logging.getLogger(__name__)

PLACE = "NIGHTJAR_CHECKPOINTS"
"""Environment variable: a folder or URI that every rank can reach; defaults to the task's folder in the lake."""
STATE_FILE = "checkpoint.json"


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """The state of a training after a number of rounds.

    Attributes:
        history: Validation metric after each round; its length is the number of rounds done.
        state: The engine's state.
    """

    history: tuple[float, ...]
    state: bytes

    @property
    def rounds(self) -> int:
        """Number of rounds done."""
        return len(self.history)


@dataclass(frozen=True, kw_only=True)
class _State:
    """Content of :data:`STATE_FILE`.

    Attributes:
        training: What identifies the training.
        history: Validation metric after each round.
        file: Name of the file with the engine's state.
        sha256: SHA-256 of that file.
    """

    training: Mapping[str, Any]
    history: tuple[float, ...]
    file: str
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Checkpoints:
    """Storage of a training's last checkpoint.

    It has two files: the engine's state, and ``checkpoint.json`` with its name, its SHA-256 and the training that it
    belongs to. The second is written last and replaced atomically, so that a kill leaves the earlier checkpoint valid.

    Attributes:
        place: Folder, on any store that every rank can reach.
        training: Everything that determines the model (spec, training set, ranks, library); a checkpoint of another
            training is not used.
    """

    place: str
    training: Mapping[str, Any]

    @classmethod
    def of(cls, spec: JobSpec, engine: str, training: Mapping[str, Any]) -> Checkpoints:
        """Return the checkpoints of a task's engine, in the task's folder of the lake or below :data:`PLACE`."""
        root = os.environ.get(PLACE, "").rstrip("/") or spec.lake
        place = f"{root}{spec.output.removeprefix(spec.lake)}/checkpoint/{engine}"
        # converted through JSON, so that it compares equal
        return cls(place=place, training=parse_object(json.dumps(training, default=str)))

    def save(self, checkpoint: Checkpoint) -> None:
        """Replace the last checkpoint.

        Raises:
            StorageFullError: when the place is full; the earlier checkpoint stays.
            UnreachableError: when the place does not answer.
        """
        name = f"round-{checkpoint.rounds:06d}.bin"
        files.write_bytes(f"{self.place}/{name}", checkpoint.state)
        sha256 = hashlib.sha256(checkpoint.state).hexdigest()
        state = _State(training=self.training, history=checkpoint.history, file=name, sha256=sha256)
        files.write_text(f"{self.place}/{STATE_FILE}", dump_json(state))
        self._remove(keep={name, STATE_FILE})
        log.info("checkpoint after round %d", checkpoint.rounds)

    def load(self) -> Checkpoint | None:
        """Return the last checkpoint; None, with a warning if one exists, when it cannot be used.

        Training from round 1 then gives the same model.
        """
        if not files.exists(f"{self.place}/{STATE_FILE}"):
            return None
        try:
            return self._read()
        except (FileNotFoundError, LakeError, ConfigurationError, *PARSER_ERRORS) as error:
            reason = str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
            log.warning("WARNING checkpoint not used: %s; training starts at round 1 (%s)", reason, self.place)
            return None

    def _read(self) -> Checkpoint:
        saved = load_json(_State, files.read_bytes(f"{self.place}/{STATE_FILE}"))
        differing = [name for name in self.training if saved.training.get(name) != self.training[name]]
        if differing:
            raise ValueError(f"it belongs to another training ({', '.join(sorted(differing))} differ)")
        state = files.read_bytes(files.contained(self.place, saved.file))
        if hashlib.sha256(state).hexdigest() != saved.sha256:
            raise ValueError(f"{saved.file} is truncated or altered (SHA-256 differs)")
        return Checkpoint(history=saved.history, state=state)

    def agree(self, group: Group) -> Checkpoint | None:
        """Return the checkpoint that all ranks resume from: rank 0 selects it, the others read the same.

        Raises:
            TrainingError: on a rank that does not find rank 0's checkpoint.
        """
        checkpoint = self.load()
        agreed_sha256 = group.exchange(checkpoint and hashlib.sha256(checkpoint.state).hexdigest())[0]
        if agreed_sha256 is None:
            return None
        if checkpoint is None or hashlib.sha256(checkpoint.state).hexdigest() != agreed_sha256:
            raise TrainingError(
                f"rank {group.contract.rank} does not find the checkpoint of rank 0",
                where=self.place,
                fix=f"set {PLACE} to a folder that all ranks share, or unset it to use the lake",
            )
        return checkpoint

    def clear(self) -> None:
        """Remove the checkpoint once the model is saved."""
        files.delete_file(f"{self.place}/{STATE_FILE}")
        self._remove(keep=set())

    def _remove(self, *, keep: set[str]) -> None:
        for name in files.list_files(self.place):
            if name not in keep:
                files.delete_file(f"{self.place}/{name}")
