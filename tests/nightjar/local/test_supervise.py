"""Real processes: no process of a server is left, whatever happens to the parent."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nightjar.local import supervise
from nightjar.local.ports import HOST, listen, port_of
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

# A supervisor that does not wait long for those who ignore SIGTERM.
IMPATIENT = """
import sys
from nightjar.local.supervise import Supervisor
sys.exit(Supervisor(sys.argv[1:], grace_seconds=0.5).run())
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
    supervisor = [sys.executable, "-c", IMPATIENT, sys.executable, "-c", TREE, str(folder)]
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


def supervised(*options: str, program: str, **more: Any) -> subprocess.Popen[bytes]:
    """Start a supervisor of a Python program."""
    command = [sys.executable, "-P", supervise.__file__, *options, sys.executable, "-c", program]
    return subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True, **more)


def states_of_children(pid: int) -> list[str]:
    """The state letter of each child of a process; ``Z`` is a zombie."""
    states = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, parent, *_ = stat.read_text().rpartition(")")[2].split()
            if int(parent) == pid:
                states.append(state)
    return states


def test_no_orphan_stays_a_zombie(tmp_path: Path) -> None:
    orphans = (
        "import os, pathlib, time\n"
        "for _ in range(100):\n"
        "    if os.fork() == 0:\n"
        "        if os.fork() == 0: time.sleep(0.2)\n"
        "        os._exit(0)\n"
        "    os.wait()\n"
        f"pathlib.Path({str(tmp_path / 'made')!r}).touch()\n"
        "time.sleep(300)"
    )
    process = supervised(program=orphans)
    assert wait_for((tmp_path / "made").exists, 60)
    assert wait_for(lambda: states_of_children(process.pid) in (["S"], ["R"])), states_of_children(process.pid)
    process.terminate()
    assert process.wait(15) == 0


def test_a_server_that_is_killed_starts_again_without_what_the_old_one_left(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    server = (
        "import os, pathlib, subprocess, time\n"
        "child = subprocess.Popen(['sleep', '300'], start_new_session=True)\n"
        f"folder = pathlib.Path({str(tmp_path)!r})\n"
        "(folder / f'{time.monotonic_ns()}.pids').write_text(f'{os.getpid()} {child.pid}')\n"
        "time.sleep(300)"
    )
    process = supervised("--restarts", "5", "--events", str(writer), program=server, pass_fds=[writer])
    assert wait_for(lambda: len(list(tmp_path.glob("*.pids"))) == 1, 30)
    first, child = (int(pid) for pid in next(tmp_path.glob("*.pids")).read_text().split())
    os.kill(first, signal.SIGKILL)
    assert wait_for(lambda: len(list(tmp_path.glob("*.pids"))) == 2, 30)
    assert not alive(child)
    assert os.read(reader, 1000) == b"ended after 0 s (killed by SIGKILL) and restarts in 1 s\n"
    process.terminate()
    assert process.wait(15) == 0
    for path in tmp_path.glob("*.pids"):
        assert not [pid for pid in path.read_text().split() if alive(int(pid))]


def test_a_server_that_fails_again_and_again_is_given_up() -> None:
    began = time.monotonic()
    process = supervised("--restarts", "2", program="raise SystemExit(3)", stdout=subprocess.PIPE)
    assert process.stdout
    output = process.stdout.read()
    assert process.wait(30) == 3
    assert re.findall(r"restarts in (\d) s", output.decode()) == ["1", "2"]
    assert time.monotonic() - began > 3


@pytest.mark.parametrize(("failures", "seconds"), [(1, 1), (2, 2), (3, 4), (5, 16), (6, 30), (100, 30)])
def test_pauses_grow_up_to_a_limit(failures: int, seconds: float) -> None:
    assert supervise.pause_before(failures) == seconds


def test_a_request_to_end_cuts_a_pause_short() -> None:
    process = supervised("--restarts", "9", program="raise SystemExit(1)", stdout=subprocess.PIPE)
    assert process.stdout
    lines = [process.stdout.readline() for _ in range(4)]
    assert lines[3].endswith(b"restarts in 8 s\n")
    process.terminate()
    assert process.wait(4) == 0


def test_a_server_gets_the_listening_socket_and_its_queue_outlives_it() -> None:
    server = (
        "import os, socket\n"
        "listener = socket.socket(fileno=0)\n"
        "client, _ = listener.accept()\n"
        "client.send(client.recv(10).upper()); client.close(); os._exit(1)"
    )
    with listen(18080) as listener:
        fd = listener.fileno()
        process = supervised("--restarts", "5", "--listener", str(fd), program=server, pass_fds=[fd])
        for _ in range(2):
            with socket.create_connection((HOST, port_of(listener)), timeout=30) as client:
                client.send(b"hello")
                assert client.recv(10) == b"HELLO"
        process.terminate()
        process.wait(15)


def test_what_a_server_writes_is_for_its_owner_alone_and_its_folder_is_removed(tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    program = f"import pathlib; pathlib.Path({str(tmp_path / 'file')!r}).touch()"
    process = supervised("--remove", str(scratch), program=program)
    assert process.wait(30) == 0
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o600
    assert not scratch.exists()


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
