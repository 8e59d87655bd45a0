"""Location of a use case's Data Docs, and their transfer to a lake in an object store.

Great Expectations writes its site to a local folder. On a local lake, that folder is the final location. Otherwise the
site is downloaded, extended and uploaded (results and pages are small; ``lake_maintenance`` limits their history).
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from nightjar.lake import files
from nightjar.lake.lake import Lake


def docs_uri(lake: Lake, use_case: str) -> str:
    """Return the root of a use case's Data Docs; its ``index.html`` lists the runs."""
    return f"{lake}/data_docs/{use_case}"


@contextmanager
def local_site(uri: str) -> Iterator[str]:
    """Provide a local folder with the site at ``uri``, and write changes back to ``uri``.

    Raises:
        UnreachableError: when the lake does not answer.
        StorageFullError: when the lake is full.
    """
    from pyarrow import fs

    system, path = files.filesystem(uri)
    with files.storage_errors(uri):
        if isinstance(system, fs.LocalFileSystem):
            os.makedirs(path, exist_ok=True)
            yield path
            return
        with tempfile.TemporaryDirectory(prefix="data_docs_") as folder:
            if files.exists(uri):
                fs.copy_files(path, folder, source_filesystem=system, destination_filesystem=fs.LocalFileSystem())
            yield folder
            fs.copy_files(folder, path, source_filesystem=fs.LocalFileSystem(), destination_filesystem=system)
