"""Checkpoints: the training so far, so that a killed one goes on where it was and ends with the same model."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nightjar.lake import files
from nightjar.protocol.documents import PARSER_ERRORS, check_fields, parse_object
from nightjar.protocol.errors import ConfigurationError, LakeError, TrainingError
from nightjar.protocol.job import JobSpec
from nightjar.training.distributed.rendezvous import Group

log = logging.getLogger(__name__)

PLACE = "NIGHTJAR_CHECKPOINTS"
"""Environment variable: a folder or URI that every rank reaches; default is the task's own folder in the lake."""
STATE_FILE = "checkpoint.json"


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A training after so many rounds.

    Attributes:
        history: Validation AUC after each round; its length is the number of rounds done.
        state: What the engine goes on from.
    """

    history: tuple[float, ...]
    state: bytes

    @property
    def rounds(self) -> int:
        return len(self.history)


@dataclass(frozen=True, kw_only=True)
class Checkpoints:
    """Where one training keeps its last checkpoint.

    Two files: the engine's state, and ``checkpoint.json``, which names it with its SHA-256 and the training it belongs
    to. The second is written last and replaced in one step, so that a kill at any moment leaves the earlier one whole.

    Attributes:
        place: Folder, on any store that every rank reaches.
        training: What decides the model's bytes (spec, training set, ranks, library); a checkpoint of any
            other training is not taken.
    """

    place: str
    training: Mapping[str, Any]

    @classmethod
    def of(cls, spec: JobSpec, engine: str, training: Mapping[str, Any]) -> Checkpoints:
        """The checkpoints of a task's engine: in the task's folder of the lake, or the same below :data:`PLACE`."""
        root = os.environ.get(PLACE, "").rstrip("/") or spec.lake
        place = f"{root}{spec.output.removeprefix(spec.lake)}/checkpoint/{engine}"
        # as read back from JSON, so that it compares equal
        return cls(place=place, training=parse_object(json.dumps(training, default=str)))

    def save(self, checkpoint: Checkpoint) -> None:
        """Replace the last checkpoint.

        Raises:
            StorageFullError: when the place is full; the earlier checkpoint stays.
            UnreachableError: when the place does not answer.
        """
        name = f"round-{checkpoint.rounds:06d}.bin"
        files.write_bytes(f"{self.place}/{name}", checkpoint.state)
        state = {
            "training": self.training,
            "history": checkpoint.history,
            "file": name,
            "sha256": hashlib.sha256(checkpoint.state).hexdigest(),
        }
        files.write_text(f"{self.place}/{STATE_FILE}", json.dumps(state, sort_keys=True))
        self._remove(keep={name, STATE_FILE})
        log.info("checkpoint after round %d", checkpoint.rounds)

    def load(self) -> Checkpoint | None:
        """The last checkpoint; None when there is none that can be used, with a warning when there is one that cannot.

        A checkpoint only saves time, so that training from the start is always right.
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
        document = parse_object(files.read_bytes(f"{self.place}/{STATE_FILE}"))
        differing = [name for name in self.training if document["training"].get(name) != self.training[name]]
        if differing:
            raise ValueError(f"it is of another training ({', '.join(sorted(differing))} differ)")
        state = files.read_bytes(files.contained(self.place, str(document["file"])))
        if hashlib.sha256(state).hexdigest() != document["sha256"]:
            raise ValueError(f"{document['file']} was cut or altered (SHA-256 differs)")
        checkpoint = Checkpoint(history=tuple(document["history"]), state=state)
        check_fields(checkpoint)
        return checkpoint

    def agree(self, group: Group) -> Checkpoint | None:
        """The checkpoint that all ranks go on from: rank 0 chooses, the others read the same.

        Raises:
            TrainingError: on a rank that does not find what rank 0 found.
        """
        mine = self.load()
        chosen = group.exchange(mine and hashlib.sha256(mine.state).hexdigest())[0]
        if chosen is None:
            return None
        if mine is None or hashlib.sha256(mine.state).hexdigest() != chosen:
            raise TrainingError(
                f"rank {group.contract.rank} does not find the checkpoint that rank 0 goes on from",
                where=self.place,
                fix=f"set {PLACE} to a place that all ranks share, or leave it out to use the lake",
            )
        return mine

    def clear(self) -> None:
        """Remove the checkpoint; the model it led to is saved."""
        files.delete_file(f"{self.place}/{STATE_FILE}")
        self._remove(keep=set())

    def _remove(self, *, keep: set[str]) -> None:
        for name in files.list_files(self.place):
            if name not in keep:
                files.delete_file(f"{self.place}/{name}")
