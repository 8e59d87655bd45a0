"""Strict reading of a landed file as Arrow: each row typed as declared, beside its original text."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import chain

import pyarrow as pa
from pyarrow import csv as arrow_csv

from nightjar.declaration.tables import Column
from nightjar.lake import files
from nightjar.lake.delta import arrow_type
from nightjar.protocol.errors import SourceError
from nightjar.protocol.names import MALFORMED, TEXT
from nightjar.validation.formats import PATTERNS, parse
from nightjar.validation.quoting import BYTE_ORDER_MARK, NULLS, Layout, read_header
from nightjar.validation.records import Piece, RejectedLine, split_records

CHUNK_BYTES = 4 << 20
MALFORMED_TYPE = pa.struct({"line": pa.string(), "line_number": pa.int64(), "problem": pa.string()})


def rows_schema(columns: Sequence[Column]) -> pa.Schema:
    """Return the schema of :func:`read_rows`: typed columns, their text, and the line when it is not one record."""
    typed = [pa.field(column.name, arrow_type(column.type)) for column in columns]
    text = pa.struct([pa.field(column.name, pa.string()) for column in columns])
    return pa.schema([*typed, pa.field(TEXT, text), pa.field(MALFORMED, MALFORMED_TYPE)])


def read_rows(uri: str, columns: Sequence[Column]) -> Iterator[pa.RecordBatch]:
    """Read the rows of a file that has passed :func:`nightjar.validation.landing.check_landing`.

    Args:
        uri: The file.
        columns: Declared columns; other columns of the header are checked but not returned.

    Yields:
        Rows and rejected lines in file order by piece; every line that is not blank is one or the other.

    Raises:
        SourceError: when the two parsers disagree on the number of records.
    """
    system, path = files.filesystem(uri)
    with files.storage_errors(uri), system.open_input_stream(path) as stream:
        first = stream.read(CHUNK_BYTES)
        header, _, below = first.removeprefix(BYTE_ORDER_MARK).partition(b"\n")
        layout, names = layout_of(header, columns), read_header(header.removesuffix(b"\r")) or ()
        chunks = chain([below], iter(lambda: stream.read(CHUNK_BYTES), b""))
        for piece in split_records(chunks, layout):
            if piece.records:
                yield _rows(piece, names, columns, uri)
            if piece.rejected:
                yield _rejected(piece.rejected, columns)


def layout_of(header: bytes, columns: Sequence[Column]) -> Layout:
    """Return the row layout of a file with this header line and the declared columns."""
    line = header.removesuffix(b"\r")
    names = read_header(line) or ()
    typed = {column.name: PATTERNS[column.type] for column in columns if column.type != "string"}
    formats = {index: re.compile(typed[name].encode()) for index, name in enumerate(names) if name in typed}
    return Layout(header=line, columns=len(names), formats=formats)


def _rows(piece: Piece, names: Sequence[str], columns: Sequence[Column], uri: str) -> pa.RecordBatch:
    text = _parse_text(piece, names, [column.name for column in columns])
    if text.num_rows != piece.records:
        raise SourceError(
            f"the two parsers disagree: {text.num_rows} rows, {piece.records} records",
            where=uri,
            how_many=abs(text.num_rows - piece.records),
            fix="report this file to the authors of Nightjar",
        )
    fields = [text.column(column.name) for column in columns]
    typed = [parse(field, column.type) for field, column in zip(fields, columns, strict=True)]
    return _batch(columns, typed, fields, pa.nulls(piece.records, MALFORMED_TYPE))


def _parse_text(piece: Piece, names: Sequence[str], wanted: Sequence[str]) -> pa.RecordBatch:
    """Return the fields of the records as text, in the order of ``wanted``, in one batch."""
    positions = [str(index) for index in range(len(names))]
    chosen = [str(names.index(name)) for name in wanted]
    table = arrow_csv.read_csv(
        pa.py_buffer(piece.data),
        read_options=arrow_csv.ReadOptions(column_names=positions, block_size=len(piece.data) + 1, use_threads=False),
        parse_options=arrow_csv.ParseOptions(newlines_in_values=True),
        convert_options=arrow_csv.ConvertOptions(
            include_columns=chosen,
            column_types=dict.fromkeys(chosen, pa.string()),
            null_values=list(NULLS),
            strings_can_be_null=True,
        ),
    )
    return pa.RecordBatch.from_arrays([_one_chunk(column) for column in table.columns], list(wanted))


def _one_chunk(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(column.chunks)


def _rejected(lines: Sequence[RejectedLine], columns: Sequence[Column]) -> pa.RecordBatch:
    count = len(lines)
    malformed = pa.StructArray.from_arrays(
        [
            pa.array([line.text for line in lines], pa.string()),
            pa.array([line.number for line in lines], pa.int64()),
            pa.array([line.problem for line in lines], pa.string()),
        ],
        fields=list(MALFORMED_TYPE),
    )
    typed = [pa.nulls(count, arrow_type(column.type)) for column in columns]
    return _batch(columns, typed, [pa.nulls(count, pa.string()) for _ in columns], malformed)


def _batch(
    columns: Sequence[Column], typed: Sequence[pa.Array], text: Sequence[pa.Array], malformed: pa.Array
) -> pa.RecordBatch:
    schema = rows_schema(columns)
    texts = pa.StructArray.from_arrays(list(text), fields=list(schema.field(TEXT).type))
    return pa.RecordBatch.from_arrays([*typed, texts, malformed], schema=schema)
