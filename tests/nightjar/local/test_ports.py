"""Ports: the usual one when it is free, else the next, never the same twice."""

from __future__ import annotations

import socket

import pytest

from nightjar.local.ports import HOST, Ports, choose_ports, free_port, is_free


@pytest.fixture
def busy_port() -> int:
    with socket.socket() as server:
        server.bind((HOST, 0))
        server.listen()
        yield server.getsockname()[1]


def test_a_busy_port_gives_the_next_free_one(busy_port: int) -> None:
    assert not is_free(busy_port)
    port = free_port(busy_port)
    assert busy_port < port <= busy_port + 199
    assert is_free(port)


def test_a_port_given_away_is_not_given_again(busy_port: int) -> None:
    first = free_port(busy_port)
    assert free_port(busy_port, [first]) > first


def test_a_port_that_another_address_of_the_machine_holds_is_busy() -> None:
    with socket.socket() as server:
        server.bind(("0.0.0.0", 0))
        server.listen()
        assert not is_free(server.getsockname()[1])


def test_the_four_ports_of_a_run_differ_and_make_addresses() -> None:
    ports = choose_ports()
    assert len({ports.airflow, ports.mlflow, ports.worker_logs, ports.trigger_logs}) == 4
    assert Ports(airflow=81, mlflow=51, worker_logs=1, trigger_logs=2).airflow_url == f"http://{HOST}:81"
