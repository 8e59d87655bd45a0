"""Ranks meet, exchange, and name who is missing, failed or dead."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from nightjar.contracts.errors import ConfigurationError, TrainingError
from nightjar.training.launch import free_port
from nightjar.training.rendezvous import Group, LaunchContract


def _contract(rank: int, world_size: int, port: int) -> LaunchContract:
    return LaunchContract(rank=rank, world_size=world_size, master_addr="127.0.0.1", master_port=port)


def _together(world_size: int, work: Callable[[Group], Any], timeout: float = 10.0) -> list[Any]:
    """Run ``work`` on every rank at once, each in a thread; an exception is the rank's answer."""
    port = free_port()

    def one(rank: int) -> Any:
        try:
            return work(Group(_contract(rank, world_size, port), "job", timeout_seconds=timeout))
        except TrainingError as error:
            return error

    with ThreadPoolExecutor(world_size) as pool:
        return list(pool.map(one, range(world_size)))


def test_every_rank_receives_every_value_by_rank() -> None:
    answers = _together(3, lambda g: [g.exchange(g.contract.rank * 10), g.exchange({"r": g.contract.rank})])
    assert answers == [[[0, 10, 20], [{"r": 0}, {"r": 1}, {"r": 2}]]] * 3


def test_the_port_can_be_used_again_at_once() -> None:
    port = free_port()
    for _ in range(3):
        with ThreadPoolExecutor(2) as pool:
            groups = list(pool.map(lambda r: Group(_contract(r, 2, port), "job", timeout_seconds=5), (0, 1)))
        for group in groups:
            group.close()


def test_missing_ranks_are_named_in_time_also_to_those_who_came() -> None:
    port = free_port()
    heard: list[str] = []

    def early() -> None:
        group = Group(_contract(2, 4, port), "job", timeout_seconds=5)
        with pytest.raises(TrainingError) as caught:
            group.exchange(1)
        heard.append(caught.value.what)

    thread = threading.Thread(target=early)
    thread.start()
    started = time.monotonic()
    with pytest.raises(TrainingError, match=r"rank 1, 3 of 4 did not come within 1 s") as caught:
        Group(_contract(0, 4, port), "job", timeout_seconds=1.0)
    assert time.monotonic() - started < 3
    assert caught.value.how_many == 2
    assert str(port) in caught.value.where
    thread.join()
    assert heard == ["rank 0 failed: rank 1, 3 of 4 did not come within 1 s"]


def test_a_missing_rank_0_is_named_too() -> None:
    with pytest.raises(TrainingError, match="rank 0 of 2 did not come"):
        Group(_contract(1, 2, free_port()), "job", timeout_seconds=0.5)


def test_a_rank_of_another_job_does_not_count() -> None:
    port = free_port()

    def stranger() -> None:
        with pytest.raises(TrainingError):
            Group(_contract(1, 2, port), "another job", timeout_seconds=1.0)

    thread = threading.Thread(target=stranger)
    thread.start()
    with pytest.raises(TrainingError, match="rank 1 of 2 did not come"):
        Group(_contract(0, 2, port), "job", timeout_seconds=1.0)
    thread.join()


def test_a_failed_rank_is_named_with_its_reason_on_all_ranks() -> None:
    def work(group: Group) -> Any:
        try:
            if group.contract.rank == 1:
                raise TrainingError("its disk is gone", where="here", fix="mount it")
            return group.exchange(1)
        except TrainingError as error:
            group.fail(error)
            raise

    answers = _together(3, work)
    assert "rank 1 failed: its disk is gone" in answers[0].what
    assert answers[1].what == "its disk is gone"
    assert "rank 0 failed: rank 1 failed: its disk is gone" in answers[2].what


def test_a_dead_rank_is_named() -> None:
    def work(group: Group) -> Any:
        if group.contract.rank == 1:
            group._peers[0]._connection.shutdown(2)  # what the kernel does when a process is killed
            return "dead"
        assert group.lost_rank(timeout_seconds=5.0) is not None
        return group.exchange(1)

    assert _together(2, work)[0].what == "rank 1 died"


def test_a_loss_while_computing_is_seen_without_exchanging() -> None:
    def work(group: Group) -> Any:
        if group.contract.rank == 1:
            group._peers[0]._connection.shutdown(2)
            return None
        return group.lost_rank(timeout_seconds=5.0)

    error = _together(2, work)[0]
    assert error.what == "rank 1 died"


def test_a_silent_rank_is_named() -> None:
    def work(group: Group) -> Any:
        if group.contract.rank == 1:
            time.sleep(1.5)
            return None
        return group.exchange(1)

    assert "rank 1 did not answer within 0.5 s" in _together(2, work, timeout=0.5)[0].what


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"RANK": None}, "RANK"),
        ({"WORLD_SIZE": "two"}, "two"),
        ({"RANK": "2"}, "RANK 2 is not within WORLD_SIZE 2"),
        ({"MASTER_PORT": None}, "MASTER_PORT"),
    ],
)
def test_an_incomplete_contract_is_refused(change: dict[str, str | None], message: str) -> None:
    environ = {"RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500", **change}
    with pytest.raises(ConfigurationError, match=message):
        LaunchContract.from_environment({k: v for k, v in environ.items() if v is not None})


def test_a_first_rank_whose_name_never_comes_to_be_known_says_so() -> None:
    contract = LaunchContract(rank=0, world_size=2, master_addr="no-such-host.invalid", master_port=free_port())
    with pytest.raises(TrainingError, match=r"rank 0's name no-such-host.invalid is not known after 0.5 s"):
        Group(contract, "job", timeout_seconds=0.5)
