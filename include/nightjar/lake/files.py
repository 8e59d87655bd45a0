"""Small files of the lake (specs, results, models, reports), in a local folder or an object store."""

from __future__ import annotations

import errno
import hashlib
import logging
import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec, TypeVar
from urllib.parse import unquote

import tenacity

from nightjar.protocol.errors import ConfigurationError, LakeError, StorageFullError, UnreachableError
from nightjar.protocol.names import is_file_name

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

TAIL_BYTES = 64 << 10
log = logging.getLogger(__name__)
P = ParamSpec("P")
T = TypeVar("T")
TRIES = 5
"""Attempts per call, in addition to retries in the clients of Arrow and delta-rs, which do not cover every failure:
Arrow treats an error whose text is longer than the requested bytes as final."""


def filesystem(uri: str) -> tuple[FileSystem, str]:
    """Return the Arrow file system of ``uri`` and the path in it; ``s3a://`` is treated as ``s3://``.

    Raises:
        ConfigurationError: for a relative path.
    """
    from pyarrow import fs

    if (local := local_path(uri)) is not None:
        return fs.LocalFileSystem(), local
    if uri.startswith("s3a://"):
        uri = "s3://" + uri.removeprefix("s3a://")
    system, path = fs.FileSystem.from_uri(uri)
    return system, path


def local_path(uri: str) -> str | None:
    """Return the path of a file on this machine; None for a file in an object store.

    What the tasks of a night read and write goes without Arrow on this machine: its import takes 0.1 s of each task.

    Raises:
        ConfigurationError: for a relative path.
    """
    path = unquote(uri.removeprefix("file://")) if uri.startswith("file://") else uri
    if "://" in path:
        return None
    if not os.path.isabs(path):
        raise ConfigurationError(f"{uri!r} is a relative path", where=uri, fix="give an absolute path or a URI")
    return path


@contextmanager
def storage_errors(uri: str) -> Iterator[None]:
    """Turn an ``OSError`` on ``uri`` into an error with a fix; a missing file stays ``FileNotFoundError``."""
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StorageFullError(
                f"no space left ({error.strerror or error})",
                where=uri,
                fix="free space (`make clean` removes local state) or enlarge the volume, then clear the task",
            ) from error
        raise UnreachableError(
            f"the lake does not answer ({error})", where=uri, fix="check NIGHTJAR_LAKE, its mount and its permissions"
        ) from error


def with_retries(call: Callable[P, T]) -> Callable[P, T]:
    """Retry an idempotent ``call`` while the lake does not answer, up to :data:`TRIES` attempts.

    Wrong mounts or permissions look the same and no retry helps there; it costs 3 s of pauses in all.
    """
    return tenacity.retry(
        retry=tenacity.retry_if_exception_type(UnreachableError),
        stop=lambda state: state.attempt_number >= TRIES,
        wait=tenacity.wait_random_exponential(multiplier=0.2, max=1.6),
        before_sleep=_log_retry,
        reraise=True,
    )(call)


def _log_retry(state: tenacity.RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    reason = error.what if isinstance(error, UnreachableError) else error
    log.warning("%s; retrying (%d of %d)", reason, state.attempt_number, TRIES - 1)


def contained(root: str, relative: str) -> str:
    """Return the URI of ``relative`` below ``root``, for a name from a file, a result or a registry.

    Raises:
        LakeError: when it is not a plain path of visible names, or a symbolic link leads out of ``root``.
    """
    inside = all(map(is_file_name, relative.split("/")))
    if inside and "://" not in root:
        inside = Path(f"{root}/{relative}").resolve().is_relative_to(Path(root).resolve())
    if not inside:
        raise LakeError(
            f"{relative!r:.200} is not a file below this folder",
            where=root,
            fix="find out who changed the file that names it; clear the task that wrote it",
        )
    return f"{root}/{relative}"


def read_text(uri: str) -> str:
    """Return the text (UTF-8) of a file; raises like :func:`read_bytes`."""
    return read_bytes(uri).decode()


@with_retries
def read_bytes(uri: str) -> bytes:
    """Return the content of a file.

    Raises:
        FileNotFoundError: when the file does not exist.
        UnreachableError: when the store does not answer.
    """
    with storage_errors(uri):
        if (local := local_path(uri)) is not None:
            return Path(local).read_bytes()
        system, path = filesystem(uri)
        with system.open_input_stream(path) as stream:
            return bytes(stream.read())


@with_retries
def size(uri: str) -> int:
    """Return the bytes of a file; -1 when it does not exist."""
    system, path = filesystem(uri)
    with storage_errors(uri):
        length = system.get_file_info(path).size
    return -1 if length is None else int(length)


@with_retries
def tail(uri: str) -> bytes:
    """Return the last 64 KiB of a file, or all of a smaller one."""
    system, path = filesystem(uri)
    with storage_errors(uri), system.open_input_file(path) as file:
        file.seek(max(0, file.size() - TAIL_BYTES))
        return bytes(file.read())


@with_retries
def sha256(uri: str) -> str:
    """Return the SHA-256 of a file, read in pieces."""
    system, path = filesystem(uri)
    digest = hashlib.sha256()
    with storage_errors(uri), system.open_input_stream(path) as stream:
        while piece := stream.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def write_text(uri: str, text: str) -> None:
    """Write a file atomically: readers see the old text or the new text."""
    write_bytes(uri, text.encode())


@with_retries
def write_bytes(uri: str, data: bytes) -> None:
    """Write a file atomically, creating folders as needed."""
    with storage_errors(uri):
        if (local := local_path(uri)) is not None:
            _write_local(local, data)
            return
        system, path = filesystem(uri)
        with system.open_output_stream(path) as stream:  # an object store's put is atomic
            stream.write(data)


def _write_local(path: str, data: bytes) -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    temporary = f"{path}.{uuid.uuid4().hex}.tmp"
    try:
        with open(temporary, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        _sync_path(os.path.dirname(path))
    finally:
        if os.path.exists(temporary):
            os.unlink(temporary)


def sync(uri: str) -> None:
    """Sync a local file written by others, and its name, to disk; an object store needs no sync."""
    if (path := local_path(uri)) is not None:
        with storage_errors(uri):
            _sync_path(path)
            _sync_path(os.path.dirname(path))


def _sync_path(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@with_retries
def exists(uri: str) -> bool:
    """Return whether a file or folder exists."""
    with storage_errors(uri):
        if (local := local_path(uri)) is not None:
            return Path(local).exists()
        from pyarrow.fs import FileType

        system, path = filesystem(uri)
        return bool(system.get_file_info(path).type != FileType.NotFound)


@with_retries
def is_file(uri: str) -> bool:
    """Return whether the path is a file."""
    system, path = filesystem(uri)
    with storage_errors(uri):
        return bool(system.get_file_info(path).is_file)


@with_retries
def list_files(uri: str) -> list[str]:
    """Return the names of the files directly in a folder, sorted; empty when the folder does not exist."""
    with storage_errors(uri):
        if (local := local_path(uri)) is not None:
            with suppress(FileNotFoundError):
                return sorted(name for name in os.listdir(local) if os.path.isfile(f"{local}/{name}"))
            return []
        from pyarrow.fs import FileSelector, FileType

        system, path = filesystem(uri)
        infos = system.get_file_info(FileSelector(path, allow_not_found=True))
        return sorted(info.base_name for info in infos if info.type == FileType.File)


@with_retries
def modified_times(uri: str) -> dict[str, float]:
    """Return the files directly in a folder by name, with their modification times in seconds since 1970."""
    from pyarrow.fs import FileSelector, FileType

    system, path = filesystem(uri)
    with storage_errors(uri):
        infos = system.get_file_info(FileSelector(path, allow_not_found=True))
    return {info.base_name: info.mtime_ns / 1e9 for info in infos if info.type == FileType.File}


@with_retries
def delete_file(uri: str) -> None:
    """Delete a file, if it exists."""
    with storage_errors(uri):
        if (local := local_path(uri)) is not None:
            with suppress(FileNotFoundError, NotADirectoryError):
                os.unlink(local)
        elif exists(uri):
            system, path = filesystem(uri)
            system.delete_file(path)
