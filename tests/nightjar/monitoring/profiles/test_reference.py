from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from nightjar.monitoring.profiles.profile import Profile
from nightjar.monitoring.profiles.reference import read_reference
from nightjar.monitoring.profiles.summarize import count_numeric
from nightjar.protocol.errors import ModelError

PROFILE = Profile(rows=3, columns={"x": count_numeric([1.0, 2.0, 3.0], (2.0,))})


def write_model(folder: Path) -> str:
    """A model folder as far as drift reads it; returns its SHA-256."""
    text = PROFILE.to_json()
    sums = f"{'0' * 64}  boosting.ubj\n{hashlib.sha256(text.encode()).hexdigest()}  profile.json\n"
    (folder / "profile.json").write_text(text)
    (folder / "SHA256SUMS").write_text(sums)
    return hashlib.sha256(sums.encode()).hexdigest()


def test_the_profile_of_the_model_that_scored_is_read(tmp_path: Path) -> None:
    sha256 = write_model(tmp_path)
    found = read_reference(str(tmp_path))
    assert (found.profile, found.sha256) == (PROFILE, sha256)
    found.check_scored({sha256}, where="scores/shop")


def test_an_altered_profile_is_refused(tmp_path: Path) -> None:
    write_model(tmp_path)
    (tmp_path / "profile.json").write_text(PROFILE.to_json().replace("3", "4"))
    with pytest.raises(ModelError, match="altered"):
        read_reference(str(tmp_path))


def test_a_model_without_a_profile_is_refused(tmp_path: Path) -> None:
    write_model(tmp_path)
    (tmp_path / "profile.json").unlink()
    with pytest.raises(ModelError, match="no drift reference"):
        read_reference(str(tmp_path))


@pytest.mark.parametrize("scored_by", [{"other"}, {"other", "second"}])
def test_scores_of_another_model_are_refused(tmp_path: Path, scored_by: set[str]) -> None:
    write_model(tmp_path)
    with pytest.raises(ModelError, match="another model"):
        read_reference(str(tmp_path)).check_scored(scored_by, where="scores/shop")
