"""What a run's first attempt at scoring has chosen, and every later one takes: the models and the features' version."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field

from nightjar.lake import files
from nightjar.protocol.documents import check_fields, parse_object, reading
from nightjar.protocol.errors import ContractError, ModelError
from nightjar.protocol.job import JobSpec
from nightjar.scoring.task import ScoringModel

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Pins:
    """Kept in the run's folder, beyond the results of its tasks, which a cleared task begins anew.

    Attributes:
        versions: Variant to the registered version that scores it, without those that only stood in: cleared, the run
            tries the one meant again.
        features_version: Delta version of the feature table.
        feature_files: The nights' files in it.
        published: Whether readers have seen it.
    """

    versions: Mapping[str, str] = field(default_factory=dict)
    features_version: int
    feature_files: tuple[str, ...]
    published: bool = False


def versions_of(scoring_models: Mapping[str, ScoringModel]) -> dict[str, str]:
    """Variant to the version that was meant to speak and does."""
    return {
        name: scoring_model.version
        for name, scoring_model in scoring_models.items()
        if scoring_model.fallback_reason is None
    }


def pinned(spec: JobSpec) -> Pins | None:
    """What the run has chosen before; None at its first attempt, or when it is to choose anew (the param ``force``)."""
    if spec.params.get("force"):
        return None
    fix = "see who changed the file; run the nights again with the param force, which chooses anew"
    try:
        with reading("what the run's first attempt has chosen", where=_uri(spec), fix=fix, error=ModelError):
            document = parse_object(files.read_bytes(_uri(spec)))
            pins = Pins(**{**document, "feature_files": tuple(document["feature_files"])})
            check_fields(pins)
            return pins
    except FileNotFoundError:
        return None


def keep(spec: JobSpec, pins: Pins) -> None:
    """Let every later attempt of the run choose the same."""
    files.write_text(_uri(spec), json.dumps(asdict(pins)))


@contextmanager
def dropped_on_refusal(spec: JobSpec) -> Iterator[None]:
    """Where a model cannot speak, or its scores are refused, let the next attempt choose anew."""
    try:
        yield
    except (ContractError, ModelError):
        drop_unpublished(spec)
        raise


def drop_unpublished(spec: JobSpec) -> None:
    """Let the next attempt choose anew; what was published stays."""
    pins = pinned(spec)
    if pins is not None and not pins.published:
        log.info("the next attempt chooses model and features anew")
        files.delete_file(_uri(spec))


def _uri(spec: JobSpec) -> str:
    return f"{spec.run_dir}/pins.json"
