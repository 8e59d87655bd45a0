"""Free TCP ports on this machine."""

from __future__ import annotations

import socket
from collections.abc import Collection
from dataclasses import dataclass

HOST = "127.0.0.1"


@dataclass(frozen=True, kw_only=True)
class Ports:
    """The ports of a run; the two log servers are Airflow's own, for the logs of tasks that are running."""

    airflow: int
    mlflow: int
    worker_logs: int
    trigger_logs: int

    @property
    def airflow_url(self) -> str:
        return f"http://{HOST}:{self.airflow}"

    @property
    def mlflow_url(self) -> str:
        return f"http://{HOST}:{self.mlflow}"


def is_free(port: int) -> bool:
    """Whether a server can listen on ``port``, on the loopback address and on all addresses."""
    for family, address in ((socket.AF_INET, HOST), (socket.AF_INET, "0.0.0.0")):  # noqa: S104 - only tried, never served
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((address, port))
            except OSError:
                return False
    return True


def free_port(preferred: int, taken: Collection[int] = ()) -> int:
    """Return ``preferred``, or the next free port above it.

    Args:
        preferred: Where a person expects the server.
        taken: Ports given away already, though nobody listens on them yet.

    Raises:
        OSError: when none of the next 200 is free.
    """
    for port in range(preferred, preferred + 200):
        if port not in taken and is_free(port):
            return port
    raise OSError(f"no free port from {preferred} to {preferred + 199}")


def choose_ports() -> Ports:
    """The usual ports where they are free, else the next free ones."""
    taken: list[int] = []
    for preferred in (8080, 5000, 8793, 8794):
        taken.append(free_port(preferred, taken))
    return Ports(airflow=taken[0], mlflow=taken[1], worker_logs=taken[2], trigger_logs=taken[3])
