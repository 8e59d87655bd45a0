"""TCP ports of this machine, bound as soon as they are chosen."""

from __future__ import annotations

import errno
import socket
from dataclasses import dataclass

HOST = "127.0.0.1"
_TRIED = 200


@dataclass(frozen=True, kw_only=True)
class Ports:
    """Ports of a run's two servers."""

    airflow: int
    mlflow: int

    @property
    def airflow_url(self) -> str:
        """Address of Airflow."""
        return f"http://{HOST}:{self.airflow}"

    @property
    def mlflow_url(self) -> str:
        """Address of MLflow."""
        return f"http://{HOST}:{self.mlflow}"


def listen(preferred: int) -> socket.socket:
    """Return a socket that listens on ``preferred``, or on the next free port above it.

    A server inherits the socket instead of opening the port itself, so no other program can take the port before the
    server starts or while it restarts. Clients wait in the socket's queue meanwhile.

    Args:
        preferred: Usual port of the server.

    Raises:
        OSError: when none of 200 ports is free.
    """
    for port in range(preferred, preferred + _TRIED):
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, port))
            listener.listen(socket.SOMAXCONN)
        except OSError as error:
            listener.close()
            if error.errno != errno.EADDRINUSE:
                raise
        else:
            return listener
    raise OSError(errno.EADDRINUSE, f"no free port from {preferred} to {preferred + _TRIED - 1}")


def port_of(listener: socket.socket) -> int:
    """Return the port of a listening socket."""
    port: int = listener.getsockname()[1]
    return port
