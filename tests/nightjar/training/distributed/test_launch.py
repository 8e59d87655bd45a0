"""No rank outlives a failure, a stop, or the launcher."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from textwrap import dedent

import pytest

from nightjar.protocol.errors import TrainingError
from nightjar.training.distributed.launch import LocalRanks, free_port

RUNNER = """
import os, sys, threading
def hold():
    while os.read(0, 4096): pass
    os.killpg(os.getpgrp(), 9)
assert os.environ["NIGHTJAR_LIFELINE"] == "stdin"
threading.Thread(target=hold, daemon=True).start()
rank = int(os.environ["RANK"])
"""


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """An environment whose ``nightjar_jobs`` are small programs of this test."""
    package = tmp_path / "nightjar_jobs"
    package.mkdir()
    programs = {
        "__init__": "",
        "contract": """
            import json
            print(json.dumps({k: os.environ[k] for k in
                ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", "OMP_NUM_THREADS")}), flush=True)
            print(os.getpgrp(), *sys.argv[1:], flush=True)
        """,
        "sleep": """
            import subprocess, time
            child = subprocess.Popen(["sleep", "60"])
            print(os.getpid(), child.pid, flush=True)
            time.sleep(60)
        """,
        "fail": """
            import time
            print("rank", rank, "begins", flush=True)
            if rank == 1: sys.exit("out of luck")
            time.sleep(60)
        """,
        "report": "sys.exit(3 if rank == 0 else 1)",
        "report_failure": "open(os.environ['REPORT'], 'w').write(repr(sys.argv[1:]))",
    }
    for name, body in programs.items():
        head = "" if name in ("__init__", "report_failure") else RUNNER
        (package / f"{name}.py").write_text(head + "import os, sys\n" * bool(body) + dedent(body))
    return {**os.environ, "PYTHONPATH": str(tmp_path), "REPORT": str(tmp_path / "reported")}


def _alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def _gone(pids: list[int], seconds: float = 5.0) -> bool:
    deadline = time.monotonic() + seconds
    while any(_alive(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not any(_alive(pid) for pid in pids)


def _pids(ranks: LocalRanks) -> list[int]:
    """Each rank's pid and its child's, as soon as all have said them."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if all(ranks.tail(rank) for rank in range(ranks.world_size)):
            return [int(pid) for rank in range(ranks.world_size) for pid in ranks.tail(rank)[0].split()]
        time.sleep(0.05)
    raise AssertionError("the ranks said nothing")


def test_ranks_get_the_launch_contract_and_share_one_group(environ: dict[str, str]) -> None:
    lines: list[str] = []
    ranks = LocalRanks(
        program="contract", spec_uri="/spec", world_size=2, on_line=lines.append, environ=environ, threads_per_rank=3
    )
    ranks.start()
    ranks.wait()
    contracts = [json.loads(ranks.tail(rank)[0]) for rank in (0, 1)]
    assert [(c["RANK"], c["LOCAL_RANK"], c["WORLD_SIZE"]) for c in contracts] == [("0", "0", "2"), ("1", "1", "2")]
    assert contracts[0]["MASTER_PORT"] == contracts[1]["MASTER_PORT"]
    assert contracts[0]["MASTER_ADDR"] == "127.0.0.1"
    assert contracts[0]["OMP_NUM_THREADS"] == "3"
    assert ranks.tail(0)[1] == ranks.tail(1)[1]
    assert ranks.tail(0)[1].endswith("--spec /spec")
    assert int(ranks.tail(0)[1].split()[0]) != os.getpgrp()
    assert lines == ranks.tail(0)
    assert not Path(environ["REPORT"]).exists()


def test_one_failure_ends_all_ranks_and_is_reported_with_its_last_line(
    environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nightjar.training.distributed.launch.GRACE_SECONDS", 0.3)
    lines: list[str] = []
    ranks = LocalRanks(program="fail", spec_uri="/spec", world_size=3, on_line=lines.append, environ=environ)
    started = time.monotonic()
    ranks.start()
    ranks.wait()
    assert time.monotonic() - started < 20
    reported = Path(environ["REPORT"]).read_text()
    assert "rank 1 of 3 failed with exit code 1; last line: out of luck" in reported
    assert "'--spec=/spec', '--kind=training'" in reported
    assert "[rank 1] out of luck" in lines


def test_a_failure_that_rank_0_reported_is_not_reported_again(environ: dict[str, str]) -> None:
    ranks = LocalRanks(program="report", spec_uri="/spec", world_size=2, on_line=lambda _: None, environ=environ)
    ranks.start()
    ranks.wait()
    assert not Path(environ["REPORT"]).exists()


def test_killed_rank_ends_all_ranks(environ: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nightjar.training.distributed.launch.GRACE_SECONDS", 0.3)
    ranks = LocalRanks(program="sleep", spec_uri="/spec", world_size=2, on_line=lambda _: None, environ=environ)
    ranks.start()
    pids = _pids(ranks)
    os.kill(pids[2], signal.SIGKILL)
    ranks.wait()
    assert _gone(pids)
    assert "rank 1 of 2 was killed by SIGKILL" in Path(environ["REPORT"]).read_text()


def test_stop_ends_all_and_wait_says_so(environ: dict[str, str]) -> None:
    ranks = LocalRanks(program="sleep", spec_uri="/spec", world_size=2, on_line=lambda _: None, environ=environ)
    ranks.start()
    pids = _pids(ranks)
    threading.Timer(0.2, ranks.stop).start()
    with pytest.raises(TrainingError, match="stopped"):
        ranks.wait()
    assert _gone(pids)


def test_long_programs_are_polled_less_often(environ: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    ranks = LocalRanks(program="contract", spec_uri="/spec", world_size=1, on_line=lambda _: None, environ=environ)
    ranks.start()
    with monkeypatch.context() as patched:
        patched.setattr("nightjar.training.distributed.launch.time.sleep", pauses.append)
        patched.setattr(ranks._ranks[0].process, "poll", lambda: 0 if sum(pauses) > 60 else None)
        ranks._wait_for_first_failure()
    ranks.wait()
    assert pauses[0] == 0.01
    assert max(pauses) == 0.5
    assert len(pauses) < 200
    waited = [sum(pauses[:number]) for number in range(len(pauses))]
    assert all(pause <= 0.07 * seconds for pause, seconds in zip(pauses, waited, strict=True) if seconds > 1)


def test_a_launcher_killed_outright_leaves_no_orphans(environ: dict[str, str]) -> None:
    code = (
        "import os; from nightjar.training.distributed.launch import LocalRanks\n"
        "ranks = LocalRanks(program='sleep', spec_uri='/spec', world_size=2, on_line=lambda l: print(l, flush=True))\n"
        "ranks.start()\n"
        "import time\n"
        "while not ranks.tail(1): time.sleep(.05)\n"
        "print(ranks.tail(1)[0], flush=True)\n"
        "ranks.wait()"
    )
    launcher = subprocess.Popen([sys.executable, "-c", code], env=environ, stdout=subprocess.PIPE, text=True)
    assert launcher.stdout is not None
    pids = [int(pid) for _ in range(2) for pid in launcher.stdout.readline().split()]
    assert all(_alive(pid) for pid in pids)
    launcher.kill()
    launcher.wait()
    assert _gone(pids)


def test_a_free_port_can_be_bound() -> None:
    assert 1024 < free_port() < 65536
