"""Import Arrow faster, without pandas, in short programs."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from types import ModuleType


class _PandasBlocker(MetaPathFinder):
    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> None:
        if fullname == "pandas":
            raise ModuleNotFoundError("pandas is not imported while Arrow starts", name=fullname)


def start_arrow_without_pandas() -> None:
    """Import Arrow, and keep it from importing pandas for its first value.

    Arrow imports pandas, if installed, only to recognize pandas' objects among its arguments. That takes 0.2 s, half of
    what a program of the night needs in all. Pandas can still be imported afterwards, and conversions to and from
    pandas then work.
    """
    import pyarrow as pa

    finder = _PandasBlocker()
    sys.meta_path.insert(0, finder)
    try:
        pa.scalar(None)
    finally:
        sys.meta_path.remove(finder)
