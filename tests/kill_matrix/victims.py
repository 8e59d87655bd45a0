"""Programs as processes of their own that are ended at a given moment, with all that is below them."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from nightjar.lake import files
from nightjar.protocol.documents import dump_json
from nightjar.protocol.job import JobSpec
from nightjar.protocol.programs import SPARK_PROGRAMS

MOMENTS = (
    "before the first write",
    "among the files",
    "before the commit",
    "before the result is recorded",
    "before Airflow knows",
)
BETWEEN = "between two commits"
"""For those steps that make several: of tables, or of one, or an alias, and the ledger."""
COMMIT_SEVERAL = ("ingest", "build_features", "publish_scores", "promote")
SIGNALS = (signal.SIGKILL, signal.SIGTERM)
REACH_SECONDS = 400
END_SECONDS = 30


@dataclass(frozen=True)
class Kill:
    """A case of the matrix."""

    step: str
    moment: str
    signal: signal.Signals

    def __str__(self) -> str:
        return f"{self.step}, {self.moment}, {self.signal.name}"


def choose(steps: tuple[str, ...], count: int) -> list[Kill]:
    """All cases of ``steps`` where ``NIGHTJAR_KILLS`` is ``all``, else ``count`` of them by a printed seed."""
    cases = [Kill(*case) for case in product(steps, MOMENTS, SIGNALS)]
    cases += [Kill(*case) for case in product(steps, [BETWEEN], SIGNALS) if case[0] in COMMIT_SEVERAL]
    if os.environ.get("NIGHTJAR_KILLS") == "all":
        return cases
    seed = int(os.environ.get("NIGHTJAR_TEST_SEED") or random.SystemRandom().randrange(10**6))
    print(f"NIGHTJAR_TEST_SEED={seed}")
    chosen = random.Random(seed)
    each = [chosen.choice([case for case in cases if case.step == step]) for step in steps]
    return each + chosen.sample([case for case in cases if case not in each], count - len(each))


def judge(cases: Sequence[Kill], examine: Callable[[int, Kill], None]) -> None:
    """Examine every case, and print a JSON line that counts those that were not made whole.

    Args:
        cases: What is to be killed.
        examine: Kills, retries, and asserts what must hold then; gets the case's number too.

    Raises:
        AssertionError: with what each survivor has left.
    """
    survivors = []
    for number, case in enumerate(cases):
        try:
            examine(number, case)
        except AssertionError as error:
            survivors.append(f"{case}: {error}")
            print(f"SURVIVED: {survivors[-1]}")
        else:
            print(f"killed and made whole: {case}")
    steps = Counter(case.step for case in cases)
    print(json.dumps({"kill_matrix": dict(steps), "kills": len(cases), "survivors": len(survivors)}))
    assert not survivors, "\n".join(survivors)


def kill(case: Kill, spec: JobSpec, marker: Path) -> None:
    """Run the program until it reaches the case's moment, then end all of its processes.

    Raises:
        AssertionError: when it never got there, or something of it has outlived the signal.
    """
    files.write_text(f"{spec.output}/spec.json", dump_json(spec))
    marker.unlink(missing_ok=True)
    site = Path(__file__).parent / "site"
    environ = {**os.environ, "KILL_MOMENT": case.moment, "KILL_MARKER": str(marker)}
    environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(site), environ.get("PYTHONPATH")]))
    package = "nightjar_spark" if spec.program in SPARK_PROGRAMS else "nightjar_jobs"
    command = [sys.executable, "-m", f"{package}.{spec.program}", "--spec", f"{spec.output}/spec.json"]
    log = marker.with_suffix(".log")
    with log.open("wb") as output:
        victim = subprocess.Popen(
            command, env=environ, stdout=output, stderr=output, stdin=subprocess.DEVNULL, start_new_session=True
        )
    deadline = time.monotonic() + REACH_SECONDS
    while not marker.exists():
        if victim.poll() is not None or time.monotonic() > deadline:
            _signal(victim.pid, signal.SIGKILL)
            raise AssertionError(f"{case}: never reached\n{log.read_text(errors='replace')[-3000:]}")
        time.sleep(0.02)
    _signal(victim.pid, case.signal)
    assert victim.wait(END_SECONDS) != 0, f"{case}: it ended as if all were well"
    deadline = time.monotonic() + END_SECONDS
    while left := _session(victim.pid):
        if time.monotonic() > deadline:
            _signal(victim.pid, signal.SIGKILL)
            raise AssertionError(f"{case}: {len(left)} processes have outlived it")
        time.sleep(0.05)


def _signal(session: int, number: signal.Signals) -> None:
    for pid in _session(session):
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def _session(session: int) -> list[int]:
    """The living processes of a session."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            state, _, _, of_session, *_ = stat.read_text().rpartition(")")[2].split()
            if int(of_session) == session and state != "Z":
                found.append(int(stat.parent.name))
    return found
