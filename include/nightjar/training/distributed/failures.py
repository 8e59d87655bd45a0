"""Failures of ranks: what one rank sends to the others, and what it raises itself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from nightjar.protocol.errors import TrainingError
from nightjar.training.distributed.memory import out_of_memory
from nightjar.training.distributed.rendezvous import Group


@contextmanager
def send_failures(group: Group) -> Iterator[None]:
    """Send a failure of the block to the other ranks; close the group after a block that succeeds.

    Raises:
        TrainingError: when this rank is out of memory, or when the block failed because another rank was lost.
    """
    try:
        yield
    except BaseException as failure:
        error = out_of_memory(failure, group.contract.rank) or failure
        lost = group.lost_rank()
        group.fail(error)
        if lost is not None and not isinstance(error, TrainingError):
            raise lost from failure
        raise error from failure.__cause__
    group.close()
