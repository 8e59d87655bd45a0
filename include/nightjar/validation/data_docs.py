"""Where the Data Docs of a use case lie, and how they get there when the lake is an object store.

Great Expectations writes its site to a local folder. On a local lake that folder is the place itself; otherwise the
site is copied down, extended and copied up (results and pages are small; ``lake_maintenance`` ends their history).
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from nightjar.lake import files


def docs_uri(lake: str, use_case: str) -> str:
    """Root of a use case's Data Docs; ``index.html`` in it lists the runs."""
    return f"{lake}/data_docs/{use_case}"


@contextmanager
def local_site(uri: str) -> Iterator[str]:
    """Give a local folder that holds the site at ``uri``; what is written to it is at ``uri`` afterwards.

    Raises:
        UnreachableError: when the lake does not answer.
        StorageFullError: when it takes no more bytes.
    """
    from pyarrow import fs

    system, path = files.filesystem(uri)
    with files.explained(uri):
        if isinstance(system, fs.LocalFileSystem):
            os.makedirs(path, exist_ok=True)
            yield path
            return
        with tempfile.TemporaryDirectory(prefix="data_docs_") as folder:
            if files.exists(uri):
                fs.copy_files(path, folder, source_filesystem=system, destination_filesystem=fs.LocalFileSystem())
            yield folder
            fs.copy_files(folder, path, source_filesystem=fs.LocalFileSystem(), destination_filesystem=system)
