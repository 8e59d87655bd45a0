"""Shorten a Delta table's log: remove the files before a checkpoint that has been verified.

A file name does not prove its content: a checkpoint may be truncated, or lack an action. Once the older log files are
removed, any data file that the checkpoint does not list is lost. Each checkpoint is therefore opened alone, in a copy,
and compared with the commits before it.
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
"""Compared fields of a data file; its statistics have several valid forms."""


@dataclass(frozen=True, kw_only=True)
class _Log:
    """The files of a log, by name.

    Attributes:
        folder: ``<table>/_delta_log``.
        names: All file names.
        commits: Version to the name of its commit.
        checkpoints: Version to its candidate checkpoints, each a tuple of file names.
    """

    folder: str
    names: tuple[str, ...]
    commits: Mapping[int, str]
    checkpoints: Mapping[int, Sequence[tuple[str, ...]]]


def shorten_log(table_uri: str, retention_days: int) -> int:
    """Remove the log files that no retained version needs.

    The oldest retained version is the one that was current ``retention_days`` ago. It is read from the newest verified
    checkpoint up to it, so the files before that checkpoint are removed, oldest first: the log stays valid when the
    process is killed.

    Returns:
        The number of files removed.
    """
    cutoff = time.time() - 86_400 * retention_days
    log_files = _list(f"{table_uri}/_delta_log")
    oldest_retained = _latest_at(log_files, cutoff)
    for version in sorted((version for version in log_files.checkpoints if version <= oldest_retained), reverse=True):
        obsolete = [name for name in log_files.names if _VERSION.match(name) and int(name[:20]) < version]
        if obsolete and all(_is_whole(log_files, version, checkpoint) for checkpoint in log_files.checkpoints[version]):
            for name in obsolete:
                files.delete_file(f"{log_files.folder}/{name}")
            return len(obsolete) + _remove_sidecars(log_files.folder, cutoff)
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
    for (version, _), names_of_parts in parts.items():
        checkpoints.setdefault(version, []).append(tuple(names_of_parts))
    return _Log(folder=folder, names=tuple(names), commits=commits, checkpoints=checkpoints)


def _latest_at(log_files: _Log, moment: float) -> int:
    """Return the version that was the latest at ``moment``; -1 when the log does not go back that far."""
    modified = files.modified_times(log_files.folder)
    for version, name in sorted(log_files.commits.items(), reverse=True):
        uri = f"{log_files.folder}/{name}"
        with reading("a commit of the table's log", where=uri, fix="restore the file", error=LakeError):
            actions = _actions(files.read_bytes(uri))
            info: dict[str, Any] = next((action["commitInfo"] for action in actions if "commitInfo" in action), {})
            at = info.get("inCommitTimestamp", info.get("timestamp"))
            committed_at = modified[name] if at is None else at / 1000
        if committed_at <= moment:
            return version
    return -1


def _is_whole(log_files: _Log, version: int, checkpoint: Sequence[str]) -> bool:
    """Return whether the checkpoint alone yields the same table as the log files before it.

    A log with a gap is never shortened: all commits from its beginning to the latest must be present.
    """
    latest = max(log_files.commits, default=version)
    base = () if 0 in log_files.commits else next(iter(log_files.checkpoints[min(log_files.checkpoints)]))
    first = 0 if 0 in log_files.commits else min(log_files.checkpoints) + 1
    missing = set(range(first, latest + 1)) - log_files.commits.keys()
    if first > version:
        return False  # the log begins here
    if missing:
        log.warning(
            "%s: %d commits before the latest are missing; the log is left as it is", log_files.folder, len(missing)
        )
        return False
    files_before = [*base, *(log_files.commits[number] for number in range(first, version + 1))]
    try:
        same = _state(log_files.folder, checkpoint, version) == _state(log_files.folder, files_before, version)
    except Exception as error:  # delta-rs and Arrow raise various types for an unreadable file
        log.warning("%s: the checkpoint %s cannot be opened (%s)", log_files.folder, checkpoint[0], error)
        return False
    if not same:
        log.warning("%s: the checkpoint %s lacks actions of the commits before it", log_files.folder, checkpoint[0])
    return same


def _state(folder: str, names: Sequence[str], version: int) -> list[str]:
    """Return the table's actions at ``version``, sorted, as read from these log files alone."""
    import pyarrow.parquet as pq
    from deltalake import DeltaTable

    with tempfile.TemporaryDirectory() as copy:
        target = Path(copy, "_delta_log")
        (target / "_sidecars").mkdir(parents=True)
        for name in (*names, *(f"_sidecars/{name}" for name in _sidecars_of(folder, names))):
            (target / name).write_bytes(files.read_bytes(f"{folder}/{name}"))
        # with one more version, delta-rs writes its own checkpoint there
        (target / f"{version + 1:020d}.json").write_text('{"commitInfo":{}}')
        DeltaTable(copy).create_checkpoint()
        rows = pq.read_table(target / f"{version + 1:020d}.checkpoint.parquet").to_pylist()
    actions = [(kind, value) for row in rows for kind, value in row.items() if value is not None]
    return sorted(json.dumps([kind, _compared(kind, value)], sort_keys=True, default=str) for kind, value in actions)


def _compared(kind: str, value: Any) -> Any:
    """Return an action without the fields that have several valid forms."""
    fields = {name: value.get(name) for name in _COMPARED} if kind in ("add", "remove") else value
    return {name: sorted(item) if isinstance(item, list) else item for name, item in fields.items()}


def _remove_sidecars(folder: str, cutoff: float) -> int:
    """Remove old sidecars that no checkpoint references, and return their number."""
    candidates = [checkpoint for listed in _list(folder).checkpoints.values() for checkpoint in listed]
    checkpoints = [name for checkpoint in candidates for name in checkpoint]
    try:
        referenced = set(_sidecars_of(folder, checkpoints))
    except Exception as error:  # Arrow raises various types for an unreadable file
        log.warning("%s: a checkpoint cannot be read (%s); sidecars are left", folder, error)
        return 0
    modified = files.modified_times(f"{folder}/_sidecars")
    obsolete = [name for name, at in modified.items() if name not in referenced and at < cutoff]
    for name in obsolete:
        files.delete_file(f"{folder}/_sidecars/{name}")
    return len(obsolete)


def _sidecars_of(folder: str, checkpoints: Sequence[str]) -> Iterator[str]:
    """Return the names of the sidecar files of version 2 checkpoints, which hold their actions."""
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
    # JSON texts may contain characters that str.splitlines() treats as line ends, e.g. U+2028
    return [parse_object(line) for line in content.split(b"\n") if line.strip()]
