"""Pins of a run: the model versions and the feature version that its first attempt selected and later ones reuse."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from nightjar.lake import files
from nightjar.protocol.documents import dump_json, load_json, reading
from nightjar.protocol.errors import ContractError, ModelError
from nightjar.protocol.job import JobSpec
from nightjar.protocol.scores import ScoringModel

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Pins:
    """Selection of a run, in the run's folder; it outlives task results, which a cleared task replaces.

    Attributes:
        versions: Variant to the model version that scores it, without fallbacks: a cleared run retries the version that
            the fallback replaced.
        features_version: Delta version of the feature table.
        feature_files: Files of the nights in the feature table.
        published: Whether the run has published scores with this selection.
    """

    versions: Mapping[str, str] = field(default_factory=dict)
    features_version: int
    feature_files: tuple[str, ...]
    published: bool = False


def versions_of(scoring_models: Mapping[str, ScoringModel]) -> dict[str, str]:
    """Map each variant to its model version, without fallbacks."""
    return {
        name: scoring_model.version
        for name, scoring_model in scoring_models.items()
        if scoring_model.fallback_reason is None
    }


def pinned(spec: JobSpec) -> Pins | None:
    """Return the run's pins; None at its first attempt, or with the param ``force``, which selects again."""
    if spec.params.get("force"):
        return None
    fix = "find out who changed the file; rerun the nights with the param force, which selects again"
    try:
        with reading("the selection of the run's first attempt", where=_uri(spec), fix=fix, error=ModelError):
            return load_json(Pins, files.read_bytes(_uri(spec)))
    except FileNotFoundError:
        return None


def write(spec: JobSpec, pins: Pins) -> None:
    """Write the pins for later attempts of the run."""
    files.write_text(_uri(spec), dump_json(pins))


@contextmanager
def drop_on_rejection(spec: JobSpec) -> Iterator[None]:
    """Drop unpublished pins when a model cannot score or its scores fail their audit, so that a retry selects again."""
    try:
        yield
    except (ContractError, ModelError):
        drop_unpublished(spec)
        raise


def drop_unpublished(spec: JobSpec) -> None:
    """Delete the pins unless they were published; the next attempt then selects again."""
    pins = pinned(spec)
    if pins is not None and not pins.published:
        log.info("the next attempt selects model and features again")
        files.delete_file(_uri(spec))


def _uri(spec: JobSpec) -> str:
    return f"{spec.run_dir}/pins.json"
