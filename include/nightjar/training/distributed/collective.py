"""XGBoost's collective, joined by all ranks."""

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
"""How long a rank waits for the others inside one collective operation."""


# Freeing the tracker of a failed training prints a C++ stack or crashes; the process ends with it instead.
_trackers: list[Any] = []


@contextmanager
def collective(group: Group) -> Iterator[None]:
    """Join XGBoost's collective; rank 0 runs its tracker on a free port, told to the others through ``group``."""
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
        dmlc_task_id=f"{contract.rank:05d}",  # the tracker sorts by it, so that ranks are ours
        dmlc_timeout=COLLECTIVE_SECONDS,
    )
    if contract.ranks_here == contract.world_size:
        _listen_on_loopback_alone()
    yield  # a failed rank ends its process; leaving in order would wait for ranks that are gone
    xgb_collective.finalize()
    if tracker is not None:
        tracker.wait_for(COLLECTIVE_SECONDS)
        _trackers.remove(tracker)


def _listen_on_loopback_alone() -> None:
    """Let XGBoost's own listening socket, which it binds to all addresses, take connections of this machine only.

    It cannot be told an address; a socket that is bound to the loopback device is reached through no other.
    """
    for descriptor in map(int, os.listdir("/proc/self/fd")):
        try:
            listener = socket.socket(fileno=os.dup(descriptor))
        except OSError:  # not a socket, or the descriptor with which the folder was listed
            continue
        with listener:
            tcp = listener.family in (socket.AF_INET, socket.AF_INET6) and listener.type == socket.SOCK_STREAM
            if not tcp or not listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                continue
            if listener.getsockname()[0] in ("0.0.0.0", "::"):  # noqa: S104 (what is looked for)
                _bind_to_loopback(listener)


def _bind_to_loopback(listener: socket.socket) -> None:
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo")
    except OSError as error:
        log.warning(
            "WARNING port %d takes connections from other machines while this trains (%s): close it by a firewall",
            listener.getsockname()[1],
            error.strerror,
        )


def sum_over_ranks(values: NDArray[Any]) -> NDArray[Any]:
    """The element-wise sum of every rank's array, on every rank; all ranks call it, with one shape and type."""
    from xgboost import collective as xgb_collective

    if not xgb_collective.is_distributed():
        return values
    total: NDArray[Any] = xgb_collective.allreduce(values, xgb_collective.Op.SUM).reshape(values.shape)
    return total


def place() -> tuple[int, int]:
    """This process's rank, and how many ranks there are."""
    from xgboost import collective as xgb_collective

    return int(xgb_collective.get_rank()), int(xgb_collective.get_world_size())
