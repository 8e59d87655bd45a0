"""Progress: a live line on a terminal, a line for each change and a heartbeat elsewhere."""

from __future__ import annotations

import io

import pytest

from nightjar.local import progress
from nightjar.local.progress import Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    at = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: at[0])
    return at


def test_elsewhere_a_change_and_a_heartbeat_are_a_line_each(clock: list[float]) -> None:
    out = io.StringIO()
    shown = Progress(out)
    for seconds, text in [(1, "land"), (2, "land"), (3, "score"), (17, "score"), (18, "score"), (34, "score")]:
        clock[0] = 100.0 + seconds
        shown.now(text, f"{seconds} s")
    assert out.getvalue().splitlines() == [
        "    1 s  land (1 s)",
        "    3 s  score (3 s)",
        "   18 s  score (18 s)",
        "   34 s  score (34 s)",
    ]


def test_a_terminal_has_one_line_that_is_rewritten_and_cleared(clock: list[float]) -> None:
    out = Terminal()
    with Progress(out) as shown:
        shown.now("land")
        shown.now("score")
        shown.say("night 1: done")
    assert out.getvalue() == ("\r\x1b[2K    0 s  land\r\x1b[2K    0 s  score\r\x1b[2Knight 1: done\n\r\x1b[2K")


def test_a_long_line_is_cut_to_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    out = Terminal()
    Progress(out).now("a" * 100)
    assert len(out.getvalue().removeprefix("\r\x1b[2K")) == 19
