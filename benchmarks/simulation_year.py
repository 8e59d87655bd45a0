"""A year of nights, simulated: a history, a first model, the year with that model alone, the year with retraining.

All that is done is kept in ``state.json`` beside the lake, so that a simulation which was killed goes on with the step
that it was in.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from simulation_programs import OF_TRAININGS, Programs

from nightjar.declaration.use_case import UseCase
from nightjar.lake import files
from nightjar.lake.lake import Lake
from nightjar.local.progress import Progress
from nightjar.protocol.documents import dump_values
from nightjar.protocol.results import PromoteResult, ReactResult

HISTORY_MONTHS = 3
"""Months that the first model is trained on; nights are simulated from then on."""
CHUNK_NIGHTS = 7
"""Nights that are scored in one run; where a training is promoted within them, those after it are scored again."""
DATA = ("land", "ingest", "build_features")
SCORE = ("score", "validate_scores", "publish_scores")
WATCH = ("report_drift", "report_performance", "check_skew")


@dataclass(kw_only=True)
class State:
    """How far the simulation has come."""

    loaded_until: str = ""
    first_trained: bool = False
    unchanged_until: str = ""
    unchanged_weeks: list[dict[str, Any]] = field(default_factory=list)
    watched_until: str = ""
    asked: dict[str, str] | None = None
    trainings: list[dict[str, Any]] = field(default_factory=list)
    seconds: float = 0.0


class Year:
    """The simulation of one year."""

    def __init__(self, programs: Programs, use_case: UseCase, year: int, lake: Lake, progress: Progress) -> None:
        self._run, self._use_case, self._lake, self._progress = programs, use_case, lake, progress
        self._state_file = Path(lake.uri).parent / "state.json"
        self.state = State(**json.loads(self._state_file.read_text())) if self._state_file.exists() else State()
        self._began = self.state.seconds
        last = date(year, 12, 31)
        self.first = max(date(year, 1, 1), use_case.schedule.first_night)
        self.last = last if use_case.schedule.last_night is None else min(last, use_case.schedule.last_night)
        self.watched_from = date(year, 1 + HISTORY_MONTHS, 1)

    def simulate(self) -> State:
        """Do what is left to do."""
        self._load()
        self._train_first()
        self._unchanged()
        self._retrained()
        return self.state

    def _load(self) -> None:
        for first, last in _months(_after(self.state.loaded_until, self.first), self.last):
            self._progress.now(f"loading {first} to {last}")
            for program in DATA:
                self._run(program, first, last, run_id=f"load__{first}")
            self._save(loaded_until=last.isoformat())

    def _train_first(self) -> None:
        if not self.state.first_trained:
            trained = self._train(self.watched_from - timedelta(days=1), "the first model")
            if not trained["promoted"]:
                raise SystemExit(f"the first model was not promoted: {trained['verdict']}")
            self._save(first_trained=True)

    def _unchanged(self) -> None:
        """The first version scores the whole year; nothing watches."""
        for first, last in _months(_after(self.state.unchanged_until, self.watched_from), self.last):
            self._progress.now(f"without retraining: {first} to {last}")
            for program in SCORE:
                self._run(program, first, last, run_id=f"unchanged__{first}", model_version="1")
            self._save(unchanged_until=last.isoformat())
        if not self.state.unchanged_weeks:
            self._save(unchanged_weeks=weekly(self._lake, self._use_case, self.watched_from, self.last))

    def _retrained(self) -> None:
        """The champion scores; each night is watched, and a training begins where monitoring asks for one.

        What was asked for is kept before the training begins: one that is killed is finished first, and no night is
        scored again by a model that has seen it.
        """
        self._train_as_asked()
        night = _after(self.state.watched_until, self.watched_from)
        while night <= self.last:
            end = min(night + timedelta(days=CHUNK_NIGHTS - 1), self.last)
            self._progress.now(f"with retraining: {night} to {end}, {len(self.state.trainings)} trainings so far")
            run_id = f"night__{night}__{len(self.state.trainings)}"
            for program in (*SCORE, *WATCH):
                self._run(program, night, end, run_id=run_id)
            for day in _days(night, end):
                reaction = self._run("react", day, day, run_id=run_id)
                assert isinstance(reaction, ReactResult)
                decided = reaction.retrain
                asked = {"night": day.isoformat(), "reason": decided.reason} if decided.request else None
                self._save(watched_until=day.isoformat(), asked=asked)
                night = day + timedelta(days=1)
                if self._train_as_asked():
                    break

    def _train_as_asked(self) -> bool:
        """Do the training that was asked for, where one was; say whether its model was promoted."""
        if self.state.asked is None:
            return False
        night, reason = self.state.asked["night"], self.state.asked["reason"]
        promoted: bool = self._train(date.fromisoformat(night), reason)["promoted"]
        self._save(asked=None)
        return promoted

    def _train(self, last: date, reason: str) -> dict[str, Any]:
        """Train on all nights until ``last``; say what came of it."""
        self._progress.now(f"training on {self.first} to {last}: {reason}")
        results = {
            program: self._run(program, self.first, last, run_id=f"training__{last}") for program in OF_TRAININGS
        }
        promoted, gate = results["promote"], results["gate"]
        trained = {
            "night": last.isoformat(),
            "reason": reason,
            "promoted": isinstance(promoted, PromoteResult) and promoted.promoted,
            "version": promoted.model_version if isinstance(promoted, PromoteResult) else "",
            "verdict": dump_values(gate),
            "metrics": dict(results["evaluate"].metrics),
        }
        if all(earlier["night"] != trained["night"] for earlier in self.state.trainings):
            self._save(trainings=[*self.state.trainings, trained])
        said = "promoted" if trained["promoted"] else "the champion stays"
        self._progress.say(f"{self._progress.seconds:5.0f} s  training on nights until {last}: {said} ({reason})")
        return trained

    def _save(self, **done: Any) -> None:
        for name, value in done.items():
            setattr(self.state, name, value)
        self.state.seconds = self._began + self._progress.seconds
        files.write_text(str(self._state_file), json.dumps(asdict(self.state), indent=1))


def weekly(lake: Lake, use_case: UseCase, first: date, last: date) -> list[dict[str, Any]]:
    """Week by week from ``first``: AUC of the published scores, flights with a label, and model versions."""
    from nightjar.problems.binary.metrics import auc

    weeks = []
    for monday in (first + timedelta(days=7 * i) for i in range((last - first).days // 7 + 1)):
        nights = list(_days(monday, min(monday + timedelta(days=6), last)))
        joined = scored_and_known(lake, use_case, nights)
        if joined.empty:
            continue
        labels, predictions = (joined[name].to_numpy(float) for name in ("label", "prediction"))
        weeks.append({
            "week": monday.isoformat(), "rows": len(joined), "auc": auc(labels, predictions),
            "versions": sorted(joined["model_version"].unique(), key=int),
        })  # fmt: skip
    return weeks


def scored_and_known(lake: Lake, use_case: UseCase, nights: Sequence[date]) -> Any:
    """Published scores of the nights with the first labels that came later, as a pandas DataFrame."""
    key = list(use_case.key)
    horizon = use_case.target.label_horizon_nights
    later = list(_days(nights[0] + timedelta(days=horizon), nights[-1] + timedelta(days=horizon + 1)))
    columns = ["ds", *key, "prediction", "model_version"]
    scores = lake.table(use_case.score_table).read_nights(nights, columns).to_pandas()
    labels = lake.table(use_case.label_table).read_nights(later, ["ds", *key, "label"]).to_pandas()
    known = labels.dropna(subset=["label"]).rename(columns={"ds": "landed"})
    joined = scores.merge(known, on=key)
    later_by = joined["landed"] - joined["ds"]
    return joined[later_by >= timedelta(days=horizon)].sort_values("landed").drop_duplicates(["ds", *key])


def _after(done: str, first: date) -> date:
    return date.fromisoformat(done) + timedelta(days=1) if done else first


def _months(first: date, last: date) -> Iterator[tuple[date, date]]:
    """Months from ``first`` to ``last``, both cut to these."""
    while first <= last:
        end = (first.replace(day=28) + timedelta(days=4)).replace(day=1) - timedelta(days=1)
        yield first, min(end, last)
        first = end + timedelta(days=1)


def _days(first: date, last: date) -> Iterator[date]:
    return (first + timedelta(days=i) for i in range((last - first).days + 1))
