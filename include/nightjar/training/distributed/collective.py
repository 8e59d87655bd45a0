"""XGBoost's collective of all ranks."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from nightjar.training.distributed.rendezvous import Group
from nightjar.training.engines.libraries import import_xgboost

if TYPE_CHECKING:
    from numpy.typing import NDArray

log = logging.getLogger(__name__)

COLLECTIVE_SECONDS = 300
"""Timeout of one collective operation."""


# Freeing the tracker of a failed training prints a C++ stack or crashes, so references are kept until exit.
_trackers: list[Any] = []


@contextmanager
def collective(group: Group) -> Iterator[None]:
    """Join XGBoost's collective; rank 0 runs the tracker on a free port and sends the port through ``group``."""
    contract = group.contract
    if contract.world_size == 1:
        yield
        return
    import_xgboost()
    from xgboost import collective as xgb_collective
    from xgboost.tracker import RabitTracker

    tracker, port = None, None
    if contract.rank == 0:
        address = socket.gethostbyname(contract.master_addr)
        tracker = RabitTracker(
            n_workers=contract.world_size, host_ip=address, sortby="task", timeout=COLLECTIVE_SECONDS
        )
        _trackers.append(tracker)
        tracker.start()
        port = tracker.worker_args()["dmlc_tracker_port"]
    port = group.exchange(port)[0]
    xgb_collective.init(
        dmlc_communicator="rabit",
        dmlc_tracker_uri=socket.gethostbyname(contract.master_addr),
        dmlc_tracker_port=port,
        dmlc_task_id=f"{contract.rank:05d}",  # the tracker sorts by it, so that its ranks are ours
        dmlc_timeout=COLLECTIVE_SECONDS,
    )
    if contract.ranks_here == contract.world_size:
        _listen_on_loopback_alone()
    yield  # a failed rank exits: finalizing would wait for lost ranks
    xgb_collective.finalize()
    if tracker is not None:
        tracker.wait_for(COLLECTIVE_SECONDS)
        _trackers.remove(tracker)


def _listen_on_loopback_alone() -> None:
    """Restrict XGBoost's listening socket, which is bound to all addresses, to connections from this machine.

    Its address cannot be configured; a socket bound to the loopback device accepts no other connections.
    """
    for descriptor in map(int, os.listdir("/proc/self/fd")):
        try:
            listener = socket.socket(fileno=os.dup(descriptor))
        except OSError:  # not a socket, or the descriptor of the listing itself
            continue
        with listener:
            tcp = listener.family in (socket.AF_INET, socket.AF_INET6) and listener.type == socket.SOCK_STREAM
            if not tcp or not listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                continue
            if listener.getsockname()[0] in ("0.0.0.0", "::"):  # noqa: S104 (compared, not bound)
                _bind_to_loopback(listener)


def _bind_to_loopback(listener: socket.socket) -> None:
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo")
    except OSError as error:
        log.warning(
            "WARNING port %d accepts connections from other machines during training (%s): close it with a firewall",
            listener.getsockname()[1],
            error.strerror,
        )


def sum_over_ranks(values: NDArray[Any]) -> NDArray[Any]:
    """Return the element-wise sum of all ranks' arrays; all ranks call it with the same shape and type."""
    from xgboost import collective as xgb_collective

    if not xgb_collective.is_distributed():
        return values
    total: NDArray[Any] = xgb_collective.allreduce(values, xgb_collective.Op.SUM).reshape(values.shape)
    return total


def place() -> tuple[int, int]:
    """Return this process's rank and the number of ranks."""
    from xgboost import collective as xgb_collective

    return int(xgb_collective.get_rank()), int(xgb_collective.get_world_size())
