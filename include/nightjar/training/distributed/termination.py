"""SIGTERM: a rank is told to end, by an eviction, a drain, or a task that is cancelled.

A process that is number 1 of its container ignores SIGTERM unless it handles it, and Python runs handlers only between
two steps of its own, so that a long round of an engine would delay one. A thread therefore waits for the signal. Where
rounds are trained it gives them a moment to reach their next checkpoint; then, and anywhere else, the process ends.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from nightjar.training.distributed.launch import EXIT_TERMINATED

CHECKPOINT_SECONDS = 5.0
"""How long a rank that was told to end goes on towards its next checkpoint."""

log = logging.getLogger(__name__)

_requested = threading.Event()
_no_rounds = threading.Event()
_no_rounds.set()


def handle_sigterm() -> None:
    """End this process soon after SIGTERM, with :data:`EXIT_TERMINATED`. To be called in the main thread."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.signal(signal.SIGTERM, lambda *_: None)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    threading.Thread(target=_wait_for_sigterm, args=(reader,), daemon=True).start()


@contextmanager
def rounds() -> Iterator[None]:
    """While rounds are trained, of which the next checkpoint is worth a moment."""
    _no_rounds.clear()
    try:
        yield
    finally:
        _no_rounds.set()


def is_termination_requested() -> bool:
    """Whether SIGTERM has come."""
    return _requested.is_set()


def exit_if_terminating() -> None:
    """End the process if SIGTERM has come: a checkpoint was just kept, or what fails now fails because of it."""
    if _requested.is_set():
        _exit()


def _wait_for_sigterm(reader: int) -> None:
    while signal.SIGTERM not in os.read(reader, 1):
        continue
    _requested.set()
    log.warning("told to end (SIGTERM); another try goes on from the last checkpoint")
    _no_rounds.wait(CHECKPOINT_SECONDS)
    _exit()


def _exit() -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(EXIT_TERMINATED)
