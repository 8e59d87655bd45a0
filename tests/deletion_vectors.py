"""Deletion vectors as Spark writes them, made by hand: delta-rs writes none."""

from __future__ import annotations

import base64
import json
import struct
import uuid
import zlib
from collections.abc import Sequence
from pathlib import Path

_MAGIC, _COOKIE = 1_681_511_377, 12_346
_Z85 = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"
_B85 = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;<=>?@^_`{|}~"
_TO_Z85 = bytes.maketrans(_B85, _Z85)


def delete_rows(uri: str, path: str, rows: Sequence[int]) -> Path:
    """Commit a deletion vector for a data file of a table; return the vector's file.

    Args:
        uri: The table's folder.
        path: The data file, as the log names it; its latest action is an ``add``.
        rows: Positions of the deleted rows.
    """
    log = sorted(Path(uri, "_delta_log").glob("*.json"))
    actions = [json.loads(line) for file in log for line in file.read_text().splitlines()]
    add = [action["add"] for action in actions if action.get("add", {}).get("path") == path][-1]
    name, data = uuid.uuid4(), _bitmap(rows)
    file = Path(uri, f"deletion_vector_{name}.bin")
    file.write_bytes(b"\x01" + struct.pack(">i", len(data)) + data + struct.pack(">I", zlib.crc32(data)))
    vector = {
        "storageType": "u",
        "pathOrInlineDv": base64.b85encode(name.bytes).translate(_TO_Z85).decode(),
        "offset": 1,
        "sizeInBytes": len(data),
        "cardinality": len(rows),
    }
    protocol = {
        "minReaderVersion": 3, "minWriterVersion": 7,
        "readerFeatures": ["deletionVectors"], "writerFeatures": ["deletionVectors", "invariants", "appendOnly"],
    }  # fmt: skip
    removed = {"path": path, "dataChange": True, "deletionTimestamp": 1, "partitionValues": add["partitionValues"],
               "extendedFileMetadata": True, "size": add["size"]}  # fmt: skip
    lines = [{"protocol": protocol}, {"remove": removed}, {"add": add | {"deletionVector": vector}}]
    Path(uri, "_delta_log", f"{len(log):020d}.json").write_text("\n".join(map(json.dumps, lines)))
    return file


def _bitmap(rows: Sequence[int]) -> bytes:
    """A RoaringBitmapArray with one array container: row numbers below 65,536."""
    container = struct.pack(f"<{len(rows)}H", *sorted(rows))
    header = struct.pack("<iiHHi", _COOKIE, 1, 0, len(rows) - 1, 16)
    return struct.pack("<iqi", _MAGIC, 1, 0) + header + container
