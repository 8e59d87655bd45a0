"""Shorten a Delta table's log: remove what comes before a checkpoint from which the table has been opened.

A file's name says nothing of what it holds. A checkpoint may be half written, cut off, or lack an action; once the log
before it is gone, so are the files that it does not name. Each one is therefore opened by itself, in a copy, and
compared with what the commits before it say.
"""

from __future__ import annotations

import json
import logging
import re
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nightjar.lake import files
from nightjar.protocol.documents import parse_object, reading
from nightjar.protocol.errors import LakeError

log = logging.getLogger(__name__)
_COMMIT = re.compile(r"(\d{20})\.json")
_CHECKPOINT = re.compile(r"(\d{20})\.checkpoint(?:\.[0-9a-f-]{36}\.json|\.[0-9a-f-]{36}\.parquet|\.parquet)")
_PART = re.compile(r"(\d{20})\.checkpoint\.(\d{10})\.(\d{10})\.parquet")
_VERSION = re.compile(r"\d{20}\.")
_COMPARED = ("path", "partitionValues", "size", "deletionVector")
"""What is compared of a data file; its statistics may be written in several ways."""


@dataclass(frozen=True, kw_only=True)
class _Log:
    """Files of a log by their names.

    Attributes:
        folder: ``<table>/_delta_log``.
        names: All files in it.
        commits: Version to the name of its commit.
        checkpoints: Version to the checkpoints that its files' names may make.
    """

    folder: str
    names: tuple[str, ...]
    commits: Mapping[int, str]
    checkpoints: Mapping[int, Sequence[tuple[str, ...]]]


def shorten_log(table_uri: str, retention_days: int) -> int:
    """Remove the log before the checkpoint from which the oldest version within the retention is read.

    That is the version which was the latest when the retention began, however old its commit. From the oldest on, so
    that what a kill leaves is a whole log.

    Returns:
        The number of files removed.
    """
    began = time.time() - 86_400 * retention_days
    found = _list(f"{table_uri}/_delta_log")
    needed = _latest_at(found, began)
    for version in sorted((version for version in found.checkpoints if version <= needed), reverse=True):
        going = [name for name in found.names if _VERSION.match(name) and int(name[:20]) < version]
        if going and all(_is_whole(found, version, checkpoint) for checkpoint in found.checkpoints[version]):
            for name in going:
                files.delete_file(f"{found.folder}/{name}")
            return len(going) + _remove_sidecars(found.folder, began)
    return 0


def _list(folder: str) -> _Log:
    names = files.list_files(folder)
    commits = {int(name[:20]): name for name in names if _COMMIT.fullmatch(name)}
    checkpoints: dict[int, list[tuple[str, ...]]] = {}
    for name in names:
        if _CHECKPOINT.fullmatch(name):
            checkpoints.setdefault(int(name[:20]), []).append((name,))
    parts: dict[tuple[int, int], list[str]] = {}
    for name in names:
        if part := _PART.fullmatch(name):
            parts.setdefault((int(part[1]), int(part[3])), []).append(name)
    for (version, _), of_one in parts.items():
        checkpoints.setdefault(version, []).append(tuple(of_one))
    return _Log(folder=folder, names=tuple(names), commits=commits, checkpoints=checkpoints)


def _latest_at(found: _Log, moment: float) -> int:
    """The version that was the latest at ``moment``; -1 where the log does not reach back so far."""
    modified = files.modified_times(found.folder)
    for version, name in sorted(found.commits.items(), reverse=True):
        uri = f"{found.folder}/{name}"
        with reading("a commit of the table's log", where=uri, fix="restore the file", error=LakeError):
            actions = _actions(files.read_bytes(uri))
            info: dict[str, Any] = next((action["commitInfo"] for action in actions if "commitInfo" in action), {})
            at = info.get("inCommitTimestamp", info.get("timestamp"))
            began = modified[name] if at is None else at / 1000
        if began <= moment:
            return version
    return -1


def _is_whole(found: _Log, version: int, checkpoint: Sequence[str]) -> bool:
    """Whether the table, opened from ``checkpoint`` alone, is what the log before it says; later commits are there."""
    latest = max(found.commits, default=version)
    base = () if 0 in found.commits else next(iter(found.checkpoints[min(found.checkpoints)]))
    first = 0 if 0 in found.commits else min(found.checkpoints) + 1
    missing = set(range(first, latest + 1)) - found.commits.keys()
    if first > version:
        return False  # the log begins here
    if missing:
        log.warning(
            "%s: %d commits before the latest are missing; the log is left as it is", found.folder, len(missing)
        )
        return False
    before = [*base, *(found.commits[number] for number in range(first, version + 1))]
    try:
        same = _state(found.folder, checkpoint, version) == _state(found.folder, before, version)
    except Exception as error:  # whatever an unreadable file raises in delta-rs and Arrow
        log.warning("%s: the checkpoint %s cannot be opened (%s)", found.folder, checkpoint[0], error)
        return False
    if not same:
        log.warning("%s: the checkpoint %s lacks actions of the commits before it", found.folder, checkpoint[0])
    return same


def _state(folder: str, names: Sequence[str], version: int) -> list[str]:
    """What the table holds at ``version`` by these files of its log alone: its actions, sorted."""
    import pyarrow.parquet as pq
    from deltalake import DeltaTable

    with tempfile.TemporaryDirectory() as copy:
        target = Path(copy, "_delta_log")
        (target / "_sidecars").mkdir(parents=True)
        for name in (*names, *(f"_sidecars/{name}" for name in _sidecars_of(folder, names))):
            (target / name).write_bytes(files.read_bytes(f"{folder}/{name}"))
        # a version more, so that delta-rs writes a checkpoint of its own there
        (target / f"{version + 1:020d}.json").write_text('{"commitInfo":{}}')
        DeltaTable(copy).create_checkpoint()
        rows = pq.read_table(target / f"{version + 1:020d}.checkpoint.parquet").to_pylist()
    actions = [(kind, value) for row in rows for kind, value in row.items() if value is not None]
    return sorted(json.dumps([kind, _compared(kind, value)], sort_keys=True, default=str) for kind, value in actions)


def _compared(kind: str, value: Any) -> Any:
    """An action without what may be written in several ways."""
    kept = {name: value.get(name) for name in _COMPARED} if kind in ("add", "remove") else value
    return {name: sorted(item) if isinstance(item, list) else item for name, item in kept.items()}


def _remove_sidecars(folder: str, began: float) -> int:
    """Remove old sidecars that no checkpoint names any more; how many."""
    checkpoints = [name for of_version in _list(folder).checkpoints.values() for one in of_version for name in one]
    try:
        named = set(_sidecars_of(folder, checkpoints))
    except Exception as error:  # whatever an unreadable file raises in Arrow
        log.warning("%s: a checkpoint cannot be read (%s); sidecars are left", folder, error)
        return 0
    modified = files.modified_times(f"{folder}/_sidecars")
    going = [name for name, at in modified.items() if name not in named and at < began]
    for name in going:
        files.delete_file(f"{folder}/_sidecars/{name}")
    return len(going)


def _sidecars_of(folder: str, checkpoints: Sequence[str]) -> Iterator[str]:
    """Names of the files beside checkpoints of version 2 that hold their actions."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    for name in checkpoints:
        if ".checkpoint" not in name:
            continue
        content = files.read_bytes(f"{folder}/{name}")
        if name.endswith(".json"):
            yield from (action["sidecar"]["path"] for action in _actions(content) if "sidecar" in action)
            continue
        source = pq.ParquetFile(pa.BufferReader(content))
        if "sidecar" in source.schema_arrow.names:
            rows = source.read(["sidecar"])["sidecar"].to_pylist()
            yield from (row["path"] for row in rows if row is not None)


def _actions(content: bytes) -> list[dict[str, Any]]:
    # JSON's texts may hold what str.splitlines() takes for the end of a line, e.g. U+2028
    return [parse_object(line) for line in content.split(b"\n") if line.strip()]
