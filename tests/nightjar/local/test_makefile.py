"""The Makefile's help names every command; the values of a command reach it unharmed."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from nightjar.local import __main__ as cli
from nightjar.local.paths import Paths

ROOT = Paths.here().root


def make(*arguments: str, cwd: Path = ROOT) -> str:
    # `make test` runs this inside a make, which would tell the inner one to print the folders it enters
    environ = {name: value for name, value in os.environ.items() if name not in {"MAKEFLAGS", "MAKELEVEL", "MFLAGS"}}
    done = subprocess.run(["make", *arguments], cwd=cwd, env=environ, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_help_lists_every_target_and_is_the_default() -> None:
    text = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z][a-z-]*):", text, re.MULTILINE))
    phony = set(re.search(r"^\.PHONY: (.*)$", text, re.MULTILINE)[1].split())
    lines = make("help").splitlines()
    listed = {line.split()[1] for line in lines}
    assert listed == targets == phony
    assert make() == "\n".join(lines) + "\n"
    assert "  make night DATE=2013-04-01" in "\n".join(lines)
    assert not [line for line in lines if not re.search(r"  [A-Z]\S* .*\w", line)], "a target without a description"


def test_values_with_quotes_and_dollars_reach_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(cli.commands, "query", lambda _, sql: asked.append(sql))
    monkeypatch.setattr(cli, "_end_with_make", lambda _: None)
    sql = """SELECT '$HOME', "a b"; -- `x`"""
    assert cli.main(["query"], {"SQL": sql}) == 0
    assert asked == [sql]


NAMES = ("SQL", "NAME", "DATE", "FROM", "TO", "TABLE", "VERSION", "YEAR", "FORCE", "EXIT", "ROWS", "OMP_NUM_THREADS")
HOSTILE = (
    "$(shell touch ran)",
    "${shell touch ran}",
    "$$(touch ran)",
    "`touch ran`",
    "$(eval $(shell touch ran))",
    "$(file >ran)",
    "$(eval query: ; touch ran)",
    "'; touch ran; '",
    '"; touch ran; "',
    "\\$(shell touch ran)",
    "$(SHELL) -c 'touch ran'",
    "$(value SQL)$(SQL)",
    "$(error stop)",
    "a # b $",
    "two\nlines: $(shell touch ran)\n\ttouch ran",
    "SELECT '$HOME', \"a b\" FROM t WHERE x LIKE '50%' -- \\",
)


@pytest.fixture
def stubbed(tmp_path: Path) -> Path:
    """The Makefile with fake programs that only record their environment."""
    (tmp_path / "Makefile").write_text((ROOT / "Makefile").read_text())
    stub = tmp_path / ".venv" / "bin" / "python"
    stub.parent.mkdir(parents=True)
    stub.write_text("#!/bin/sh\nexec env -0 > environment\n")
    stub.chmod(0o755)
    return tmp_path


def environment_of(target: str, values: dict[str, str], stubbed: Path, *, from_environment: bool) -> dict[str, str]:
    """Return the environment of a command's program."""
    environ = {"PATH": os.environ["PATH"], "PYTHON": str(stubbed / ".venv" / "bin" / "python")}
    command = ["make", target, *([] if from_environment else [f"{name}={value}" for name, value in values.items()])]
    environ |= values if from_environment else {}
    done = subprocess.run(command, cwd=stubbed, env=environ, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return dict(line.split("=", 1) for line in (stubbed / "environment").read_text().split("\0") if line)


@pytest.mark.parametrize("from_environment", [False, True])
@pytest.mark.parametrize("text", HOSTILE)
def test_make_passes_every_value_as_it_stands(text: str, from_environment: bool, stubbed: Path) -> None:
    values = dict.fromkeys(NAMES, text)
    received = environment_of("query", values, stubbed, from_environment=from_environment)
    assert {name: received[name] for name in NAMES} == values
    assert text not in received["MAKEFLAGS"]
    assert not (stubbed / "ran").exists()


def test_make_runs_nothing_of_a_value_in_any_target(stubbed: Path) -> None:
    text = (ROOT / "Makefile").read_text()
    exported = re.findall(r"^export ([A-Z_ ]+)$", text, re.MULTILINE)
    names = {*" ".join(exported).split(), *re.findall(r"^(?:override )?([A-Z]+) [?:]?=", text, re.MULTILINE)} - {
        "PYTHON"
    }
    assert names >= {"SQL", "NIGHTJAR", "IN", "SETUP"}
    values = {name: "`touch ran`$(shell touch ran)" for name in {*names, "MAKEFILE_LIST", "given-name", "OTHER"}}
    for target in re.findall(r"^([a-z][a-z-]*):", text, re.MULTILINE):
        command = ["make", target, *(f"{name}={value}" for name, value in values.items())]
        environ = {"PATH": os.environ["PATH"], "PYTHON": str(stubbed / ".venv" / "bin" / "python")}
        subprocess.run(command, cwd=stubbed, env=environ, capture_output=True, text=True)
        assert not (stubbed / "ran").exists(), target


@pytest.mark.parametrize(
    ("command", "missing"),
    [("night", "DATE"), ("backfill", "FROM"), ("reproduce", "VERSION"), ("new-use-case", "NAME")],
)
def test_a_value_that_is_not_given_is_asked_for(
    command: str, missing: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli, "_end_with_make", lambda _: None)
    assert cli.main([command], {}) == 1
    assert f"{missing} is not given" in capsys.readouterr().err


def test_an_unknown_command_is_refused(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "_end_with_make", lambda _: None)
    assert cli.main(["fly"], {}) == 1
    assert "unknown command 'fly'" in capsys.readouterr().err


def test_ci_runs_the_tests() -> None:
    script = ROOT / ".ci" / "run"
    assert script.stat().st_mode & 0o111
    assert "make test" in script.read_text()
