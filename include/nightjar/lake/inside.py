"""Files that must lie below a folder, whatever symbolic links say."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from nightjar.lake import files

_NOT_THERE = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.EACCES, errno.ENXIO}


def read_inside(folder: str, name: str) -> bytes:
    """Return the content of the file ``name`` below ``folder``.

    A local file is opened first and then asked where it lies, so that nobody can exchange it in between. ``folder``
    itself may lie behind a link, but may not be one.

    Raises:
        FileNotFoundError: when there is no such regular file, or it lies outside of ``folder``.
        UnreachableError: when the lake does not answer.
    """
    from pyarrow.fs import LocalFileSystem

    uri = f"{folder}/{name}"
    system, path = files.filesystem(folder)
    if not isinstance(system, LocalFileSystem):
        if not files.is_file(uri):
            raise FileNotFoundError(uri)
        return files.read_bytes(uri)
    with files.explained(uri):
        try:
            descriptor = os.open(f"{path}/{name}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            if error.errno in _NOT_THERE:
                raise FileNotFoundError(uri) from error
            raise
        if not _lies_inside(descriptor, Path(path)):
            os.close(descriptor)
            raise FileNotFoundError(uri)
        with os.fdopen(descriptor, "rb") as file:
            return file.read()


def leads_outside(folder: str, uri: str) -> bool:
    """Whether a local path, its symbolic links resolved, lies outside of ``folder``; an object store has no links."""
    from pyarrow.fs import LocalFileSystem

    system, path = files.filesystem(uri)
    return isinstance(system, LocalFileSystem) and not (
        Path(path).resolve().is_relative_to(Path(files.filesystem(folder)[1]).resolve())
    )


def _lies_inside(descriptor: int, folder: Path) -> bool:
    """Whether an open file is a regular one below ``folder``."""
    opened = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
    inside = opened.is_relative_to(folder.parent.resolve() / folder.name)
    return inside and stat.S_ISREG(os.fstat(descriptor).st_mode)
