"""Run the corpus: clean nights for false alarms, and each kind on a real night, through the program `ingest` itself."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from pyspark.sql import SparkSession

from nightjar.lake.lake import Lake
from nightjar.monitoring.data_quality.table import WARNINGS_TABLE
from nightjar.protocol.errors import NightjarError
from nightjar.protocol.job import JobSpec
from nightjar.protocol.nights import Nights
from nightjar.protocol.results import IngestResult
from nightjar_spark.ingest import ingest
from tests.corruptions.kind import Kind
from tests.corruptions.landed import Landed
from use_cases.flight_delay.landing import land
from use_cases.flight_delay.use_case import USE_CASE

FIRST, LAST = date(2013, 2, 18), date(2013, 5, 31)
CLEAN = 60
"""Number of untouched nights to judge, at the end of the range; earlier nights are history."""
CORRUPTED = (date(2013, 5, 17), date(2013, 5, 16), date(2013, 5, 15))
"""Corrupted nights, in this order, so that each has a clean history."""


@dataclass(frozen=True)
class Outcome:
    """Outcome of one kind."""

    kind: Kind
    did: tuple[str, ...]
    said: str

    @property
    def caught(self) -> bool:
        return bool(self.did)

    @property
    def right(self) -> bool:
        if self.kind.must == "nothing":
            return not self.did
        return self.kind.must == "may" or self.kind.must in self.did


class Corpus:
    """A lake with clean nights, and a second landing whose nights are corrupted one at a time."""

    def __init__(self, spark: SparkSession, root: Path) -> None:
        self.spark, self.lake = spark, str(root / "lake")
        self.clean, self.corrupted = root / "landing", root / "corrupted"
        nights = Nights(first=FIRST, last=LAST, timezone=USE_CASE.schedule.timezone)
        land(nights, str(self.clean))
        self._ingest(FIRST, LAST, self.clean)

    def false_warnings(self) -> dict[date, list[str]]:
        """Clean night to its warnings, for those that have one."""
        nights = [LAST - timedelta(days=i) for i in range(CLEAN)]
        found: dict[date, list[str]] = {}
        for row in Lake(self.lake).table(WARNINGS_TABLE).read_nights(nights).to_pylist():
            found.setdefault(row["ds"], []).append(row["what"])
        return found

    def run(self, kinds: Sequence[Kind]) -> Iterator[Outcome]:
        """Yield the outcome of each kind, applied to one of the nights."""
        for i, night in enumerate(CORRUPTED):
            for kind in kinds[i :: len(CORRUPTED)]:
                yield self._corrupt(kind, night)

    def _corrupt(self, kind: Kind, night: date) -> Outcome:
        folder = self.corrupted / USE_CASE.name / night.isoformat()
        kind.corrupt(Landed(self.clean / USE_CASE.name / night.isoformat(), folder))
        try:
            result = self._ingest(night, night, self.corrupted)
        except NightjarError as error:
            return Outcome(kind, ("stopped",), error.what)
        broken = [f"{name} {source.broken_rules}" for name, source in result.sources.items()]
        said = [*(line for line in broken if not line.endswith("{}")), *result.warnings]
        did = ("rejected",) * bool(result.rows_rejected) + ("warned",) * bool(result.warnings)
        return Outcome(kind, did, "; ".join(said))

    def _ingest(self, first: date, last: date, landing: Path) -> IngestResult:
        spec = JobSpec(
            program="ingest", use_case=USE_CASE.name, first_night=first, last_night=last, dag_id="corruptions",
            run_id=f"{first}", task_id="ingest", lake=self.lake,
        )  # fmt: skip
        return ingest(self.spark, spec, USE_CASE, str(landing))


def timed(corpus: Corpus, kinds: Sequence[Kind]) -> Iterator[tuple[Outcome, float]]:
    """Yield outcomes with the seconds that each took."""
    began = time.monotonic()
    for outcome in corpus.run(kinds):
        yield outcome, time.monotonic() - began
        began = time.monotonic()
