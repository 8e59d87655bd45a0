"""What a rank that fails sends to the others, and what it raises itself."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from nightjar.protocol.errors import TrainingError
from nightjar.training.distributed.failures import send_failures
from nightjar.training.distributed.launch import free_port
from nightjar.training.distributed.rendezvous import Group, LaunchContract


def _errors_of_ranks(*blocks: Callable[[Group], None]) -> list[BaseException | None]:
    """Run each block as a rank, inside ``send_failures``; return the error of each rank."""
    port = free_port()
    errors: list[BaseException | None] = [None] * len(blocks)

    def run_rank(rank: int) -> None:
        contract = LaunchContract(rank=rank, world_size=len(blocks), master_addr="127.0.0.1", master_port=port)
        group = Group(contract, "job", timeout_seconds=10)
        try:
            with send_failures(group):
                blocks[rank](group)
        except BaseException as error:
            errors[rank] = error

    threads = [threading.Thread(target=run_rank, args=(rank,)) for rank in range(len(blocks))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return errors


def _exchange(group: Group) -> None:
    group.exchange("rows")


def _raise(error: BaseException) -> Callable[[Group], None]:
    def block(group: Group) -> None:
        raise error

    return block


def _fail_after_losing_a_rank(group: Group) -> None:
    while group.lost_rank(0.1) is None:
        pass
    raise RuntimeError("Connection reset by peer")


def test_ranks_that_succeed_have_no_error() -> None:
    assert _errors_of_ranks(_exchange, _exchange) == [None, None]


@pytest.mark.parametrize(
    ("error", "raised", "sent"),
    [
        (ValueError("odd"), "odd", "rank 1 failed: ValueError: odd"),
        (KeyboardInterrupt("stop"), "stop", "rank 1 failed: KeyboardInterrupt: stop"),
        (MemoryError(), "rank 1 ran out of memory after", "rank 1 failed: rank 1 ran out of memory after"),
    ],
    ids=["error", "interrupt", "out of memory"],
)
def test_a_failure_is_raised_on_its_rank_and_sent_to_the_others(error: BaseException, raised: str, sent: str) -> None:
    others, own = _errors_of_ranks(_exchange, _raise(error))
    assert raised in str(own)
    assert isinstance(own, TrainingError if isinstance(error, MemoryError) else type(error))
    assert isinstance(others, TrainingError)
    assert sent in str(others)


def test_a_rank_that_fails_because_another_was_lost_raises_the_error_of_that_one() -> None:
    consequence, _ = _errors_of_ranks(_fail_after_losing_a_rank, _raise(ValueError("odd")))
    assert isinstance(consequence, TrainingError)
    assert "rank 1 failed: ValueError: odd" in str(consequence)
    assert isinstance(consequence.__cause__, RuntimeError)
