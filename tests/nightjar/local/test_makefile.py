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
    assert "there is no command 'fly'" in capsys.readouterr().err


def test_ci_runs_the_tests() -> None:
    script = ROOT / ".ci" / "run"
    assert script.stat().st_mode & 0o111
    assert "make test" in script.read_text()
