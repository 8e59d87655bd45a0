from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.small_disk import fill, small_disk

from nightjar.lake import files
from nightjar.protocol.errors import ConfigurationError, LakeError, StorageFullError, UnreachableError


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=2000))
def test_what_is_written_is_read(tmp_path: Path, data: bytes) -> None:
    files.write_bytes(f"{tmp_path}/a/b.bin", data)
    assert files.read_bytes(f"{tmp_path}/a/b.bin") == data
    assert files.list_files(f"{tmp_path}/a") == ["b.bin"]


def test_a_missing_file_is_distinguished_from_a_missing_lake(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        files.read_text(f"{tmp_path}/none.json")
    assert not files.exists(f"{tmp_path}/none.json")
    assert files.list_files(f"{tmp_path}/none") == []
    files.delete_file(f"{tmp_path}/none.json")
    (tmp_path / "file").write_text("")
    with pytest.raises(UnreachableError, match="the lake does not answer"):
        files.write_text(f"{tmp_path}/file/below/x", "")


def test_files_of_this_machine_cost_no_import_of_arrow(tmp_path: Path) -> None:
    program = (
        "import sys\n"
        "from nightjar.lake import files\n"
        "folder = sys.argv[1]\n"
        "files.write_text(f'{folder}/a/x', 'x')\n"
        "assert (files.read_text(f'{folder}/a/x'), files.list_files(f'{folder}/a')) == ('x', ['x'])\n"
        "files.delete_file(f'{folder}/a/x')\n"
        "assert not files.exists(f'{folder}/a/x')\n"
        "assert 'pyarrow' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=True)


def test_a_file_uri_is_a_file_of_this_machine(tmp_path: Path) -> None:
    files.write_text(f"file://{tmp_path}/a%20b/x", "x")
    assert (tmp_path / "a b" / "x").read_text() == "x"
    assert files.list_files(f"file://{tmp_path}/a%20b") == ["x"]
    assert files.size(f"file://{tmp_path}/a%20b/x") == 1


def test_only_files_are_listed_and_links_are_followed(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    for link, target in (("to_file", "file"), ("to_folder", "folder"), ("to_nothing", "nothing"), ("loop", "loop")):
        (tmp_path / link).symlink_to(tmp_path / target)
    assert files.list_files(str(tmp_path)) == ["file", "to_file"]
    assert [name for name in sorted(os.listdir(tmp_path)) if files.exists(f"{tmp_path}/{name}")] == [
        "file", "folder", "to_file", "to_folder",
    ]  # fmt: skip


def test_a_relative_path_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="relative path"):
        files.read_text("lake/x")


def test_a_full_disk_is_said_and_leaves_the_old_file(tmp_path: Path) -> None:
    with small_disk(tmp_path / "small", 64) as disk:
        files.write_text(f"{disk}/x.txt", "old")
        fill(disk)
        with pytest.raises(StorageFullError, match=r"no space left .* do: free space"):
            files.write_text(f"{disk}/x.txt", "new" * 10_000)
        assert files.read_text(f"{disk}/x.txt") == "old"
        assert files.list_files(str(disk)) == ["filler", "x.txt"]


def test_a_writer_killed_at_any_moment_leaves_the_old_file_or_the_new(tmp_path: Path) -> None:
    target = tmp_path / "x.txt"
    files.write_text(str(target), "0" * 200_000)
    program = (
        "import itertools, sys\n"
        "from nightjar.lake import files\n"
        "print('go', flush=True)\n"
        "for i in itertools.count():\n"
        "    files.write_text(sys.argv[1], str(i % 10) * 200_000)\n"
    )
    for _ in range(5):
        writer = subprocess.Popen([sys.executable, "-c", program, str(target)], stdout=subprocess.PIPE)
        assert writer.stdout is not None
        writer.stdout.readline()
        for _ in range(20):
            text = target.read_text()
            assert len(text) == 200_000
            assert len(set(text)) == 1
        os.kill(writer.pid, signal.SIGKILL)
        writer.wait()
        text = target.read_text()
        assert len(text) == 200_000
        assert len(set(text)) == 1


@pytest.mark.parametrize(
    "relative",
    ["..", "../x", "a/../../x", "/etc/passwd", "", ".", "./x", "a//b", "a/", ".hidden", "a/.git/x", "a\\b", "a\x00b",
     "a\nb", "s3://bucket/x", "link/x", "link"],
)  # fmt: skip
def test_a_path_that_leads_out_of_its_folder_is_refused(tmp_path: Path, relative: str) -> None:
    (tmp_path / "table").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "table" / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(LakeError, match="is not a file below this folder"):
        files.contained(f"{tmp_path}/table", relative)


def test_a_path_below_its_folder_is_joined(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "table").symlink_to(tmp_path / "real")  # the folder itself may be a link, like many mounts
    for root in (f"{tmp_path}/table", "s3://bucket/table"):
        path = "ds=2013-04-01/country=Côte d%27Ivoire/part-0.parquet"
        assert files.contained(root, path) == f"{root}/{path}"
