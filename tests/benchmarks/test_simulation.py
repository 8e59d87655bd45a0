"""A simulated year that is killed anywhere goes on as if it had not been; of programs only their effects are real."""

from __future__ import annotations

from datetime import date, timedelta
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.declarations import with_fields
from tests.program_results import neutral_result

from nightjar.lake.lake import Lake
from nightjar.protocol.incidents import RetrainingDecision
from nightjar.protocol.job import JobResult
from nightjar.protocol.results import GateResult, PromoteResult, ReactResult
from use_cases.flight_delay.use_case import USE_CASE

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
SHORT = with_fields(USE_CASE, schedule={"last_night": date(2013, 4, 20)})
ASKED_FOR_ON = (date(2013, 4, 5), date(2013, 4, 12))
PROMOTED = (1, 2)


class Killed(Exception):
    """The process is gone."""


class World:
    """What programs leave behind; the same again when they run again.

    Args:
        kill_at: Moment at which the process is gone: before and after each program's effect; None for never.
    """

    def __init__(self, kill_at: int | None = None) -> None:
        self.kill_at, self.moment = kill_at, 0
        self.champion = 0
        self.versions: dict[date, int] = {}
        self.scored: dict[date, int] = {}

    def _pass(self) -> None:
        self.moment += 1
        if self.moment == self.kill_at:
            raise Killed

    def __call__(self, program: str, first: date, last: date, *, run_id: str, **params: Any) -> Any:
        self._pass()
        result = self._do(program, first, last, int(params.get("model_version") or self.champion))
        self._pass()
        return result

    def _do(self, program: str, first: date, last: date, version: int) -> JobResult:
        if program == "register":
            self.versions.setdefault(last, len(self.versions) + 1)
        if program == "promote":
            mine = self.versions[last]
            self.champion = max(self.champion, mine if mine in PROMOTED else 0)
            return neutral_result(PromoteResult, promoted=mine in PROMOTED, model_version=str(mine))
        if program == "score":
            self.scored |= {first + timedelta(days=i): version for i in range((last - first).days + 1)}
        if program == "react":
            return neutral_result(ReactResult, retrain=RetrainingDecision(request=last in ASKED_FOR_ON, reason="drift"))
        return neutral_result(GateResult) if program == "gate" else JobResult()


def simulate(world: World, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Start the simulation, or go on with it; its state when it is done."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    module = import_module("simulation_year")
    monkeypatch.setattr(module, "weekly", lambda *_: [{"auc": 0.7}])
    progress = SimpleNamespace(now=lambda _: None, say=lambda _: None, seconds=0.0)
    return module.Year(world, SHORT, 2013, Lake(str(folder / "lake")), progress).simulate()


def test_it_ends_the_same_wherever_it_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = World()
    state = simulate(whole, tmp_path / "whole", monkeypatch)
    asked = [date(2013, 3, 31), *ASKED_FOR_ON]
    assert [training["night"] for training in state.trainings] == [night.isoformat() for night in asked]
    assert [whole.scored[night] for night in (ASKED_FOR_ON[0], ASKED_FOR_ON[0] + timedelta(days=1))] == [1, 2]
    assert whole.scored[date(2013, 4, 20)] == 2, "the third model was not promoted"
    assert whole.moment > 100
    for moment in range(1, whole.moment + 1):
        killed = World(kill_at=moment)
        with pytest.raises(Killed):
            simulate(killed, tmp_path / str(moment), monkeypatch)
        resumed = simulate(killed, tmp_path / str(moment), monkeypatch)
        assert resumed.trainings == state.trainings, f"killed at moment {moment}"
        assert killed.scored == whole.scored, f"killed at moment {moment}"
