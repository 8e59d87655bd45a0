"""A checkpoint is used only by its own training and only when complete; problems are logged."""

from __future__ import annotations

import json
import logging
import os
import threading
from datetime import date
from pathlib import Path

import pytest

from nightjar.lake.lake import Lake
from nightjar.protocol.errors import NightjarError, TrainingError
from nightjar.protocol.job import JobSpec
from nightjar.training.distributed.checkpoint import PLACE, STATE_FILE, Checkpoint, Checkpoints
from nightjar.training.distributed.launch import free_port
from nightjar.training.distributed.rendezvous import Group, LaunchContract

TRAINING = {"spec": "abc", "world_size": 2, "params": {"eta": 0.1}, "since": date(2013, 1, 1)}
LEADS_OUT = json.dumps({"training": TRAINING, "history": [], "file": "../../x", "sha256": ""}, default=str).encode()


@pytest.fixture
def checkpoints(lake: Lake) -> Checkpoints:
    return Checkpoints.of(_spec(lake), "boosting", TRAINING)


def _spec(lake: Lake) -> JobSpec:
    return JobSpec(
        program="train",
        use_case="flight_delay",
        first_night=date(2013, 1, 1),
        last_night=date(2013, 1, 2),
        dag_id="d",
        run_id="r",
        task_id="train",
        lake=lake.uri,
    )


def test_last_checkpoint_is_loaded_and_earlier_ones_are_removed(checkpoints: Checkpoints) -> None:
    assert checkpoints.load() is None
    checkpoints.save(Checkpoint(history=(0.5,), state=b"one"))
    last = Checkpoint(history=(0.5, 0.6), state=b"two")
    checkpoints.save(last)
    assert checkpoints.load() == last
    assert last.rounds == 2
    assert sorted(os.listdir(checkpoints.place)) == [STATE_FILE, "round-000002.bin"]
    checkpoints.clear()
    assert (checkpoints.load(), os.listdir(checkpoints.place)) == (None, [])


def test_the_place_is_the_tasks_folder_or_what_the_environment_names(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = _spec(lake)
    assert Checkpoints.of(spec, "boosting", TRAINING).place == f"{spec.output}/checkpoint/boosting"
    monkeypatch.setenv(PLACE, f"{tmp_path}/fast/")
    assert Checkpoints.of(spec, "boosting", TRAINING).place == f"{tmp_path}/fast/_runs/d/r/train/checkpoint/boosting"


def test_checkpoint_of_another_training_is_not_used_and_differences_are_logged(
    checkpoints: Checkpoints, lake: Lake, caplog: pytest.LogCaptureFixture
) -> None:
    checkpoints.save(Checkpoint(history=(0.5,), state=b"one"))
    other = Checkpoints.of(_spec(lake), "boosting", {**TRAINING, "world_size": 3, "params": {"eta": 0.2}})
    assert other.load() is None
    assert "another training (params, world_size differ); training starts at round 1" in caplog.messages[-1]
    assert other.place in caplog.messages[-1]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("round-000001.bin", b"on", "round-000001.bin is truncated or altered (SHA-256 differs)"),
        ("round-000001.bin", None, "FileNotFoundError"),
        (STATE_FILE, b'{"training": {', "Expecting property name"),
        (STATE_FILE, b"[]", "a JSON object is expected"),
        (STATE_FILE, b"{}", "_State.training: Field required"),
        (STATE_FILE, b"[" * 100_000, "RecursionError"),
        (STATE_FILE, LEADS_OUT, "is not a file below this folder"),
    ],
)
def test_truncated_altered_or_incomplete_checkpoint_is_not_used(
    checkpoints: Checkpoints, caplog: pytest.LogCaptureFixture, name: str, content: bytes | None, said: str
) -> None:
    checkpoints.save(Checkpoint(history=(0.5,), state=b"one"))
    path = Path(checkpoints.place, name)
    path.unlink() if content is None else path.write_bytes(content)
    with caplog.at_level(logging.WARNING):
        assert checkpoints.load() is None
    assert said in caplog.messages[-1]


def test_a_kill_between_the_two_files_leaves_the_earlier_one(
    checkpoints: Checkpoints, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = Checkpoint(history=(0.5,), state=b"one")
    checkpoints.save(first)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("nightjar.lake.files.write_text", killed)
    with pytest.raises(KeyboardInterrupt):
        checkpoints.save(Checkpoint(history=(0.5, 0.6), state=b"two"))
    assert checkpoints.load() == first


def _agree(places: list[Path]) -> list[Checkpoint | NightjarError | None]:
    """What ranks with these places agree on."""
    port = free_port()
    found: list[Checkpoint | NightjarError | None] = [None] * len(places)

    def one(rank: int) -> None:
        contract = LaunchContract(rank=rank, world_size=len(places), master_addr="127.0.0.1", master_port=port)
        group = Group(contract, "job", timeout_seconds=10)
        try:
            found[rank] = Checkpoints(place=str(places[rank]), training={}).agree(group)
        except NightjarError as error:
            found[rank] = error

    threads = [threading.Thread(target=one, args=(rank,)) for rank in range(len(places))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def test_all_ranks_resume_from_the_checkpoint_of_rank_0_or_fail(tmp_path: Path) -> None:
    checkpoint = Checkpoint(history=(0.5,), state=b"one")
    assert _agree([tmp_path, tmp_path]) == [None, None]
    Checkpoints(place=str(tmp_path), training={}).save(checkpoint)
    assert _agree([tmp_path, tmp_path]) == [checkpoint, checkpoint]
    mine, error = _agree([tmp_path, tmp_path / "elsewhere"])
    assert mine == checkpoint
    assert isinstance(error, TrainingError)
    assert "rank 1 does not find the checkpoint" in error.what
    assert "all ranks share" in error.fix
