"""Whether files that are to replace others hold the very same bytes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from nightjar.lake import files
from nightjar.lake.held_files import data_file_uri

if TYPE_CHECKING:
    from nightjar.lake.delta import DataFile
    from nightjar.lake.held_files import HeldFile


def same_bytes(uri: str, held: Sequence[HeldFile], written: Sequence[DataFile]) -> bool:
    """Whether two sets of files are the same but for names; rows are sorted, so the same rows give the same bytes.

    Files of other content differ in size, or at their ends, where Parquet has its statistics: only those that are the
    same, all but surely, are read whole. A held file of which rows are deleted is not what its bytes say.
    """

    def differ(look: Callable[[str], int | str | bytes]) -> bool:
        def seen(file: HeldFile | DataFile) -> tuple[Any, ...]:
            return tuple(file.partition.values()), look(data_file_uri(uri, file.path))

        return sorted(map(seen, held)) != sorted(map(seen, written))

    if any(len(file.deleted) for file in held):
        return False
    return not (differ(files.size) or differ(files.tail) or differ(files.sha256))
