"""Ports: the usual one or the next free one, held from start to end."""

from __future__ import annotations

import socket
import subprocess
import sys
import time

import pytest

from nightjar.local.ports import HOST, Ports, listen, port_of


@pytest.fixture
def usual() -> int:
    """A port that is free."""
    with socket.socket() as server:
        server.bind((HOST, 0))
        port: int = server.getsockname()[1]
    return port


def test_a_free_port_is_taken_and_a_busy_one_gives_the_next(usual: int) -> None:
    with listen(usual) as first, listen(usual) as second:
        assert port_of(first) == usual
        assert usual < port_of(second) <= usual + 199


@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0"])
def test_a_port_that_another_program_serves_is_busy(usual: int, address: str) -> None:
    with socket.socket() as other:
        other.bind((address, usual))
        other.listen()
        with listen(usual) as listener:
            assert port_of(listener) > usual


@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0"])
def test_a_chosen_port_cannot_be_taken_before_its_server_starts(usual: int, address: str) -> None:
    with listen(usual) as listener, socket.socket() as impostor:
        impostor.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        impostor.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        with pytest.raises(OSError, match="Address already in use"):
            impostor.bind((address, port_of(listener)))


def test_two_programs_that_choose_at_the_same_moment_get_different_ports(usual: int) -> None:
    program = (
        "import sys, time; from nightjar.local.ports import listen, port_of; time.sleep(max(0, float(sys.argv[2]) - "
        "time.time())); held = listen(int(sys.argv[1])); print(port_of(held), flush=True); input()"
    )
    together = str(time.time() + 1)
    programs = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(usual), together],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(5)
    ]
    ports = [int(program.stdout.readline()) for program in programs if program.stdout]
    for program in programs:
        program.communicate("done\n", timeout=30)
    assert len(set(ports)) == 5
    assert min(ports) == usual


def test_the_ports_of_a_run_make_addresses() -> None:
    assert Ports(airflow=81, mlflow=51).airflow_url == f"http://{HOST}:81"
    assert Ports(airflow=81, mlflow=51).mlflow_url == f"http://{HOST}:51"
