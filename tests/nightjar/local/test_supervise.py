"""Real processes: whatever happens to the parent, nothing of a server is left."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from nightjar.local.supervise import descendants

# A server like Airflow's: a child in its own process group, a grandchild in its own session that ignores SIGTERM.
TREE = """
import os, pathlib, signal, subprocess, sys, time
folder = pathlib.Path(sys.argv[1])
stubborn = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); open(%r, 'w').close(); time.sleep(300)"
own_session = subprocess.Popen([sys.executable, "-c", stubborn % str(folder / "ready")], start_new_session=True)
own_group = subprocess.Popen(["sleep", "300"], process_group=0)
orphan = subprocess.run(
    [sys.executable, "-c",
     "import subprocess as s; print(s.Popen(['sleep', '300'], start_new_session=True, stdout=s.DEVNULL).pid)"],
    stdout=subprocess.PIPE, text=True,
)
while not (folder / "ready").exists():
    time.sleep(0.02)
pids = [os.getpid(), own_session.pid, own_group.pid, int(orphan.stdout)]
(folder / "pids.tmp").write_text(" ".join(map(str, pids)))
os.replace(folder / "pids.tmp", folder / "pids")
time.sleep(300)
"""


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_for(condition: Callable[[], bool], seconds: float = 15) -> bool:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)
    return condition()


def start_tree(folder: Path, keeper: list[str] | None = None) -> tuple[subprocess.Popen[bytes], list[int]]:
    supervisor = [sys.executable, "-m", "nightjar.local.supervise", sys.executable, "-c", TREE, str(folder)]
    process = subprocess.Popen([*(keeper or []), *supervisor], stdin=subprocess.PIPE, start_new_session=True)
    if not wait_for(lambda: (folder / "pids").exists(), 60):
        process.kill()
        pytest.fail("the tree did not start")
    pids = [int(pid) for pid in (folder / "pids").read_text().split()]
    assert all(alive(pid) for pid in pids)
    return process, pids


def test_all_descendants_are_found_wherever_they_moved(tmp_path: Path) -> None:
    process, pids = start_tree(tmp_path)
    assert set(pids) <= set(descendants(process.pid))
    process.terminate()
    process.wait(15)


@pytest.mark.parametrize("how", ["SIGTERM", "SIGINT", "lifeline"])
def test_nothing_is_left_when_the_supervisor_is_asked_to_end(tmp_path: Path, how: str) -> None:
    process, pids = start_tree(tmp_path)
    if how == "lifeline":
        assert process.stdin
        process.stdin.close()
    else:
        process.send_signal(signal.Signals[how])
    assert process.wait(15) == 0
    assert not [pid for pid in pids if alive(pid)]


def test_nothing_is_left_when_the_parent_is_killed(tmp_path: Path) -> None:
    # The keeper holds the lifeline, as `make run` does, and is killed without a chance to clean up.
    keeper = (
        "import subprocess, sys; subprocess.Popen(sys.argv[1:], stdin=subprocess.PIPE, start_new_session=True).wait()"
    )
    process, pids = start_tree(tmp_path, keeper=[sys.executable, "-c", keeper])
    process.kill()
    process.wait(15)
    assert wait_for(lambda: not any(alive(pid) for pid in pids)), [pid for pid in pids if alive(pid)]


def test_a_server_that_ends_takes_its_children_along_and_its_status_is_passed_on(tmp_path: Path) -> None:
    child = tmp_path / "child"
    ends = f"import subprocess; open({str(child)!r}, 'w').write(str(subprocess.Popen(['sleep', '300']).pid))"
    command = [sys.executable, "-c", f"{ends}; raise SystemExit(3)"]
    process = subprocess.Popen([sys.executable, "-m", "nightjar.local.supervise", *command], stdin=subprocess.PIPE)
    assert process.wait(30) == 3
    assert not alive(int(child.read_text()))


# One that the caller had before, with a child born later; and one of ours, whose orphan ignores SIGTERM.
SPARING = """
import os, subprocess, sys, time
from nightjar.local.supervise import become_subreaper, descendants, end_descendants
folder = sys.argv[1]
alive = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); open(%r, 'w').close(); time.sleep(300)"
old = "import subprocess as s, sys; input(); c = s.Popen(['sleep', '300']); print(c.pid, flush=True); c.wait()"
before = subprocess.Popen([sys.executable, "-c", old], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
spared = frozenset(descendants(os.getpid()))
become_subreaper()
code = "import subprocess, sys; subprocess.Popen([sys.executable, '-c', %r], start_new_session=True)"
subprocess.run([sys.executable, "-c", code % (alive % (folder + "/ready"))], check=True)
while not os.path.exists(folder + "/ready"):
    time.sleep(0.02)
before.stdin.write("go\\n"); before.stdin.flush()
young = int(before.stdout.readline())
(ours,) = descendants(os.getpid(), spared)
end_descendants(spared, grace_seconds=0.2)
print(set(descendants(os.getpid())) == {before.pid, young}, before.poll() is None)
end_descendants()
print(descendants(os.getpid()))
"""


def test_what_the_caller_had_before_is_spared_with_its_children(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", SPARING, str(tmp_path)], capture_output=True, text=True, timeout=60)
    assert done.stdout.split("\n")[:2] == ["True True", "[]"], done.stderr
