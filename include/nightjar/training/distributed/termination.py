"""Termination of a rank by SIGTERM: an eviction, a drain, or a cancelled task.

Process 1 of a container ignores SIGTERM unless it handles it, and Python runs signal handlers only between bytecode
instructions, so that a long round of an engine would delay them. A thread therefore waits for the signal. During rounds
it waits a moment for the next checkpoint; then the process exits.
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
"""Time to reach the next checkpoint after SIGTERM."""

log = logging.getLogger(__name__)

_is_requested = False  # a plain flag: a second signal within the handler could wait for an event's lock for ever
_no_rounds = threading.Event()
_no_rounds.set()


def handle_sigterm() -> None:
    """Exit with :data:`EXIT_TERMINATED` soon after SIGTERM. Call it in the main thread."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    # Set here too: a library call that the signal interrupts returns before the thread has run.
    signal.signal(signal.SIGTERM, lambda *_: _request())
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    threading.Thread(target=_wait_for_sigterm, args=(reader,), daemon=True).start()


@contextmanager
def rounds() -> Iterator[None]:
    """Delay termination within this context, to reach the next checkpoint."""
    _no_rounds.clear()
    try:
        yield
    finally:
        _no_rounds.set()


def is_termination_requested() -> bool:
    """Whether SIGTERM was received."""
    return _is_requested


def exit_if_terminating() -> None:
    """Exit if SIGTERM was received: after a checkpoint was saved, or before reporting an error that it caused."""
    if _is_requested:
        _exit()


def _request() -> None:
    global _is_requested
    _is_requested = True


def _wait_for_sigterm(reader: int) -> None:
    while signal.SIGTERM not in os.read(reader, 1):
        continue
    _request()
    _no_rounds.wait(CHECKPOINT_SECONDS)
    _exit()


def _exit() -> None:
    log.warning("received SIGTERM; a retry resumes from the last checkpoint")
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(EXIT_TERMINATED)
