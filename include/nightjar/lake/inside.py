"""Reading of files that must lie inside a folder, regardless of symbolic links."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from nightjar.lake import files

_NOT_THERE = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.EACCES, errno.ENXIO}


def read_inside(folder: str, name: str) -> bytes:
    """Return the content of the file ``name`` below ``folder``.

    A local file is opened first and its real path checked afterwards, so that it cannot be swapped in between.
    ``folder`` may be reached through a link, but may not be a link itself.

    Raises:
        FileNotFoundError: when the file does not exist, is not a regular file, or lies outside of ``folder``.
        UnreachableError: when the lake does not answer.
    """
    uri, path = f"{folder}/{name}", files.local_path(folder)
    if path is None:
        if not files.is_file(uri):
            raise FileNotFoundError(uri)
        return files.read_bytes(uri)
    with files.storage_errors(uri):
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
    """Return whether a local path, with symbolic links resolved, lies outside of ``folder``.

    A path in an object store never does.
    """
    path, root = files.local_path(uri), files.local_path(folder)
    if path is None or root is None:
        return False
    return not Path(path).resolve().is_relative_to(Path(root).resolve())


def _lies_inside(descriptor: int, folder: Path) -> bool:
    """Return whether an open file is a regular file below ``folder``."""
    opened = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
    inside = opened.is_relative_to(folder.parent.resolve() / folder.name)
    return inside and stat.S_ISREG(os.fstat(descriptor).st_mode)
