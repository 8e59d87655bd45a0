"""Every change of the code is noticed, and nothing else."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import nightjar_spark
from nightjar.code_digest import code_digest, digest_of


@pytest.fixture
def code(tmp_path: Path) -> Path:
    (tmp_path / "use_cases" / "shop" / "__pycache__").mkdir(parents=True)
    (tmp_path / "use_cases" / "shop" / "features.py").write_text("A = 1\n")
    (tmp_path / "use_cases" / "shop" / "query.sql").write_text("SELECT 1\n")
    return tmp_path


def _same_size_and_time(code: Path) -> None:
    file = code / "use_cases" / "shop" / "features.py"
    before = file.stat()
    file.write_text("A = 2\n")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


CHANGES: dict[str, Callable[[Path], object]] = {
    "a file of the same size and time": _same_size_and_time,
    "a query": lambda code: (code / "use_cases" / "shop" / "query.sql").write_text("SELECT 2\n"),
    "a new file": lambda code: (code / "use_cases" / "shop" / "helpers.py").write_text(""),
    "a module beside the use cases": lambda code: (code / "shared.py").write_text("B = 1\n"),
    "a file that is gone": lambda code: (code / "use_cases" / "shop" / "query.sql").unlink(),
    "a file of another name": lambda code: (code / "use_cases" / "shop" / "query.sql").rename(code / "query.sql"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_the_digest_changes_with_the_code(code: Path, change: str) -> None:
    before = digest_of([code])
    CHANGES[change](code)
    assert digest_of([code]) != before


def test_the_digest_stays_when_nothing_but_what_python_compiles_changes(code: Path) -> None:
    before = digest_of([code])
    (code / "use_cases" / "shop" / "__pycache__" / "features.pyc").write_bytes(b"x")
    (code / "use_cases" / "shop" / "features.py").touch()
    (code / "use_cases" / "shop" / ".features.py.swp").write_bytes(b"x")
    assert digest_of([code]) == before


def test_the_digest_of_the_checkout_is_the_same_twice() -> None:
    assert code_digest() == code_digest()


def test_no_spark_program_takes_the_name_of_a_standard_module() -> None:
    """``spark-submit`` puts their folder first on the path: ``numbers.py`` kept every application from starting."""
    programs = {file.stem for file in Path(nightjar_spark.__file__).parent.glob("*.py")}
    assert programs & (sys.stdlib_module_names - set(sys.builtin_module_names)) <= {"io"}, "Python loads io first"
