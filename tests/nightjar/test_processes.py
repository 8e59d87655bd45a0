"""A process is known by its start time too: another one that got its id is left alone."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from dataclasses import replace

import pytest

from nightjar.processes import Process
from nightjar.protocol.documents import dump_values, load_values


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(["sleep", "300"], start_new_session=True)
    yield process
    process.kill()
    process.wait()


def test_a_process_is_killed_with_its_group(sleeper: subprocess.Popen[bytes]) -> None:
    process = load_values(Process, dump_values(Process.of(sleeper.pid)))
    assert process.is_alive
    assert process.kill_group()
    sleeper.wait(10)
    assert not process.is_alive
    assert not process.kill_group()


def test_a_stranger_with_the_same_id_is_left_alone(sleeper: subprocess.Popen[bytes]) -> None:
    before = Process.of(sleeper.pid)
    for stranger in (replace(before, born=before.born - 1), replace(before, host="elsewhere")):
        assert not stranger.is_alive
        assert not stranger.kill_group()
    assert sleeper.poll() is None


def test_one_that_has_ended_is_dead_before_anybody_has_waited_for_it() -> None:
    ended = subprocess.Popen(["true"])
    os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)
    assert not Process.of(ended.pid).is_alive
    ended.wait()
