"""Compare the bytes of new files with those of the files that they would replace."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from nightjar.lake import files
from nightjar.lake.active_files import data_file_uri

if TYPE_CHECKING:
    from nightjar.lake.active_files import ActiveFile
    from nightjar.protocol.data_file import DataFile


def same_bytes(uri: str, active: Sequence[ActiveFile], written: Sequence[DataFile]) -> bool:
    """Return whether two sets of files have equal contents in each partition; their names are ignored.

    Sizes are compared first, then the ends of the files, where Parquet has its statistics, and then the SHA-256 of the
    whole files. A file with deleted rows never counts as equal.
    """

    def differ(read: Callable[[str], int | str | bytes]) -> bool:
        def key(file: ActiveFile | DataFile) -> tuple[Any, ...]:
            return tuple(file.partition.values()), read(data_file_uri(uri, file.path))

        return sorted(map(key, active)) != sorted(map(key, written))

    if any(len(file.deleted) for file in active):
        return False
    return not (differ(files.size) or differ(files.tail) or differ(files.sha256))
