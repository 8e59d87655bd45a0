"""Ranks connect, exchange values, and name missing, failed or dead ranks."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest

from nightjar.protocol.errors import ConfigurationError, TrainingError
from nightjar.training.distributed import rendezvous
from nightjar.training.distributed.handshake import MAX_UNAUTHENTICATED
from nightjar.training.distributed.launch import free_port
from nightjar.training.distributed.rendezvous import SECRET, Group, LaunchContract


def _contract(rank: int, world_size: int, port: int) -> LaunchContract:
    return LaunchContract(rank=rank, world_size=world_size, master_addr="127.0.0.1", master_port=port)


def _together(world_size: int, work: Callable[[Group], Any], timeout: float = 10.0) -> list[Any]:
    """Run ``work`` on every rank concurrently, each in a thread; an exception is the rank's result."""
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
    with pytest.raises(TrainingError, match=r"rank 1, 3 of 4 did not connect within 1 s") as caught:
        Group(_contract(0, 4, port), "job", timeout_seconds=1.0)
    assert time.monotonic() - started < 3
    assert caught.value.how_many == 2
    assert str(port) in caught.value.where
    thread.join()
    assert heard == ["rank 0 failed: rank 1, 3 of 4 did not connect within 1 s"]


def test_a_missing_rank_0_is_named_too() -> None:
    with pytest.raises(TrainingError, match="rank 0 of 2 did not connect"):
        Group(_contract(1, 2, free_port()), "job", timeout_seconds=0.5)


def test_a_rank_of_another_job_does_not_count() -> None:
    port = free_port()

    def stranger() -> None:
        with pytest.raises(TrainingError):
            Group(_contract(1, 2, port), "another job", timeout_seconds=1.0)

    thread = threading.Thread(target=stranger)
    thread.start()
    with pytest.raises(TrainingError, match="rank 1 of 2 did not connect"):
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
    environ = {
        "RANK": "0",
        "WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": "29500",
        SECRET: "x",
        **change,
    }
    with pytest.raises(ConfigurationError, match=message):
        LaunchContract.from_environment({k: v for k, v in environ.items() if v is not None})


def test_unresolvable_name_of_rank_0_is_an_error() -> None:
    contract = LaunchContract(rank=0, world_size=2, master_addr="no-such-host.invalid", master_port=free_port())
    with pytest.raises(TrainingError, match=r"rank 0's name no-such-host.invalid cannot be resolved after 0.5 s"):
        Group(contract, "job", timeout_seconds=0.5)


SECRET_OF_JOB = "5" * 64


def _secret(rank: int, world_size: int, port: int, secret: str = SECRET_OF_JOB) -> LaunchContract:
    return replace(_contract(rank, world_size, port), secret=secret)


def _two_ranks(port: int, stranger: Callable[[int], Any]) -> tuple[list[Any], float]:
    """Both ranks meet while ``stranger`` is at the port of the first; what they exchange, and the seconds it took."""
    with ThreadPoolExecutor(2) as pool:
        started = time.monotonic()
        first = pool.submit(lambda: Group(_secret(0, 2, port), "job", timeout_seconds=20))
        held = stranger(port)
        second = pool.submit(lambda: Group(_secret(1, 2, port), "job", timeout_seconds=20))
        groups = [first.result(), second.result()]
        seconds = time.monotonic() - started
        answers = list(pool.map(lambda group: group.exchange(group.contract.rank), groups))
    for connection in [*groups, *held]:
        connection.close()
    return answers, seconds


def _connected(port: int, count: int = 1) -> list[socket.socket]:
    deadline = time.monotonic() + 5
    found: list[socket.socket] = []
    while len(found) < count:
        try:
            found.append(socket.create_connection(("127.0.0.1", port), timeout=5))
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.02)
    return found


def _drip(port: int) -> list[socket.socket]:
    """A byte now and then, for ever."""
    connections = _connected(port, 3)

    def send() -> None:
        with suppress(OSError):
            while True:
                for connection in connections:
                    connection.sendall(b"{")
                time.sleep(0.1)

    threading.Thread(target=send, daemon=True).start()
    return connections


def _line_without_end(port: int) -> list[socket.socket]:
    (connection,) = _connected(port)
    with suppress(OSError):
        for _ in range(1000):
            connection.sendall(b"x" * 65536)
    return [connection]


def _says(line: bytes) -> Callable[[int], list[socket.socket]]:
    def stranger(port: int) -> list[socket.socket]:
        (connection,) = _connected(port)
        connection.sendall(line + b"\n")
        return [connection]

    return stranger


@pytest.mark.parametrize(
    "stranger",
    [
        lambda port: _connected(port, 3),
        lambda port: _connected(port, MAX_UNAUTHENTICATED + 50),
        _drip,
        _line_without_end,
        _says(b"[" * 900),
        _says(b"null"),
        _says(b"\xff\xfe"),
        _says(b'{"job": "job", "rank": 1}'),
        _says(b'{"rank": 1, "challenge": "", "proof": ""}'),
        _says(b'{"rank": 1, "challenge": "", "proof": "\xc3\xa9"}'),
        _says(b'{"rank": [], "challenge": {}, "proof": []}'),
        _says(b"GET / HTTP/1.1"),
    ],
    ids=["silent", "many", "a byte now and then", "no end", "nested", "null", "no UTF-8", "no proof", "empty proof",
         "no ASCII", "other types", "HTTP"],
)  # fmt: skip
def test_unauthenticated_connection_does_not_delay_ranks(stranger: Callable[[int], list[socket.socket]]) -> None:
    answers, seconds = _two_ranks(free_port(), stranger)
    assert answers == [[0, 1], [0, 1]]
    assert seconds < 4


def test_ranks_without_the_secret_of_the_job_do_not_count() -> None:
    port = free_port()

    def stranger() -> None:
        with pytest.raises(TrainingError, match="rank 0 of 2 did not connect"):
            Group(_secret(1, 2, port, "6" * 64), "job", timeout_seconds=1.0)

    thread = threading.Thread(target=stranger)
    thread.start()
    with pytest.raises(TrainingError, match="rank 1 of 2 did not connect"):
        Group(_secret(0, 2, port), "job", timeout_seconds=1.0)
    thread.join()


def test_a_first_rank_without_the_secret_is_not_believed() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def pretend() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    connection.sendall(b'{"challenge": "00"}\n{"proof": "00", "welcome": true}\n')

        threading.Thread(target=pretend, daemon=True).start()
        with pytest.raises(TrainingError, match="rank 0 of 2 did not connect"):
            Group(_secret(1, 2, listener.getsockname()[1]), "job", timeout_seconds=1.0)


def test_neither_the_secret_nor_a_proof_that_can_be_used_again_is_sent() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port, sent = listener.getsockname()[1], []

        def listen() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    connection.sendall(b'{"challenge": "same"}\n')
                    sent.append(json.loads(connection.recv(4096)))
                    connection.close()

        threading.Thread(target=listen, daemon=True).start()
        with pytest.raises(TrainingError):
            Group(_secret(1, 2, port), "job", timeout_seconds=1.0)
    assert len(sent) > 1
    assert len({hello["proof"] for hello in sent}) == len(sent)
    assert SECRET_OF_JOB not in json.dumps(sent)
    assert SECRET_OF_JOB not in repr(_secret(1, 2, port))


def test_a_message_without_end_counts_as_a_lost_rank(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rendezvous, "MAX_MESSAGE", 1000)

    def work(group: Group) -> Any:
        return group.exchange("x" * 5000 if group.contract.rank == 1 else 1)

    # rank 1 is not told, and waits for its answer until the timeout
    assert _together(2, work, timeout=3.0)[0].what == "rank 1 died"


def test_a_contract_of_several_ranks_needs_the_secret_and_of_one_does_not() -> None:
    environ = {"RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500"}
    assert LaunchContract.from_environment(environ).secret == ""
    with pytest.raises(ConfigurationError, match=SECRET):
        LaunchContract.from_environment({**environ, "WORLD_SIZE": "2"})
    assert LaunchContract.from_environment({**environ, "WORLD_SIZE": "2", SECRET: "x"}).secret == "x"
