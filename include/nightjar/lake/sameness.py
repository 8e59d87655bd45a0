"""Whether files that are to replace others hold the very same bytes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from nightjar.lake import files

if TYPE_CHECKING:
    from nightjar.lake.delta import DataFile, HeldFile


def same_bytes(uri: str, held: Sequence[HeldFile], written: Sequence[DataFile]) -> bool:
    """Whether two sets of files are the same but for names; rows are sorted, so the same rows give the same bytes.

    Files of other content differ in size, or at their ends, where Parquet has its statistics: only those that are the
    same, all but surely, are read whole.
    """

    def differ(look: Callable[[str], int | str | bytes]) -> bool:
        def seen(file: HeldFile | DataFile) -> tuple[Any, ...]:
            return tuple(file.partition.values()), look(f"{uri}/{file.path}")

        return sorted(map(seen, held)) != sorted(map(seen, written))

    return not (differ(files.size) or differ(files.tail) or differ(files.sha256))
