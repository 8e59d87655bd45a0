"""The ledger: an append-only table of events of all use cases, with actor, reason and versions."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

from nightjar.declaration.tables import DS, Column, TableSchema
from nightjar.lake import delta
from nightjar.lake.lake import Lake
from nightjar.lake.rows import read_rows
from nightjar.protocol.documents import parse_object, reading
from nightjar.protocol.errors import LakeError
from nightjar.protocol.job import JobSpec

if TYPE_CHECKING:
    import pyarrow as pa

TABLE = TableSchema(
    name="ledger/events",
    comment="Every training, gate verdict, promotion, publish and failure. Append only.",
    append_only=True,
    columns=(
        DS,
        Column("recorded_at", "timestamp", "When the event was recorded (UTC).", nullable=False),
        Column("event", "string", "What happened: training, gate, promotion, publish, failure, ...", nullable=False),
        Column("use_case", "string", "Use case concerned.", nullable=False),
        Column("actor", "string", "Who or what did it.", nullable=False),
        Column("reason", "string", "Why, in a sentence."),
        Column("dag_id", "string", "DAG whose run did it."),
        Column("run_id", "string", "Airflow run that did it."),
        Column("task_id", "string", "Task that did it."),
        Column("model_version", "string", "Version in the registry, where one is concerned."),
        Column("table_versions", "string", "Table name to Delta version, as JSON.", nullable=False),
        Column("git_commit", "string", "Commit of the code that ran."),
        Column("details", "string", "Further facts of the event, as JSON.", nullable=False),
    ),
)


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, kw_only=True)
class Event:
    """An event of the ledger.

    Attributes:
        event: What happened: ``training``, ``gate``, ``promotion``, ``publish``, ``failure``, ...
        use_case: The use case concerned.
        ds: Night of the event; today for an event without a night.
        recorded_at: When it was recorded, with a time zone.
        actor: Who or what did it.
        reason: Why, in a sentence.
        dag_id: DAG whose run did it.
        run_id: Airflow run that did it.
        task_id: Task that did it.
        model_version: Version in the registry, if any.
        table_versions: Delta table name to version.
        git_commit: Commit of the code that ran.
        details: JSON values.
    """

    event: str
    use_case: str
    ds: date = field(default_factory=lambda: _now().date())
    recorded_at: datetime = field(default_factory=_now)
    actor: str = "airflow"
    reason: str = ""
    dag_id: str = ""
    run_id: str = ""
    task_id: str = ""
    model_version: str = ""
    table_versions: Mapping[str, int] = field(default_factory=dict)
    git_commit: str = field(default_factory=lambda: os.environ.get("NIGHTJAR_GIT_COMMIT", "unknown"))
    details: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, spec: JobSpec, event: str, **fields: Any) -> Event:
        """Return an event of the task that ``spec`` describes, on its last night."""
        return cls(
            event=event,
            use_case=spec.use_case,
            ds=spec.last_night,
            dag_id=spec.dag_id,
            run_id=spec.run_id,
            task_id=spec.task_id,
            **fields,
        )

    def to_row(self) -> dict[str, Any]:
        """Return the row of :data:`TABLE`."""
        row = {name: getattr(self, name) for name in TABLE.column_names}
        for name in ("table_versions", "details"):
            row[name] = json.dumps(dict(row[name]), sort_keys=True, allow_nan=False)
        return row


def record(lake: Lake, event: Event) -> int:
    """Append ``event`` and return the new table version.

    Raises:
        NightjarError: when the lake does not answer or is full.
    """
    import pyarrow as pa

    return lake.table(TABLE).append(pa.Table.from_pylist([event.to_row()], schema=delta.arrow_schema(TABLE)))


def read(lake: Lake, **equal: str) -> pa.Table:
    """Return the ledger's events whose columns have the given values, oldest first.

    Args:
        lake: The lake.
        equal: Column name to value, e.g. ``event="promotion", use_case="flight_delay"``.
    """
    import pyarrow.compute as pc

    table = lake.table(TABLE)
    if not table.exists():
        return delta.arrow_schema(TABLE).empty_table()
    condition = None
    for column, value in equal.items():
        matches = pc.field(column) == value
        condition = matches if condition is None else condition & matches
    events = read_rows(table.open())
    return (events if condition is None else events.filter(condition)).sort_by("recorded_at")


@contextmanager
def reading_details() -> Iterator[None]:
    """Turn any exception from reading an event's details into one error."""
    fix = (
        "find the event with `make query`; if another tool wrote it, give it an `event` name that Nightjar does not use"
    )
    with reading("the details of an event", where=TABLE.name, fix=fix, error=LakeError):
        yield


def read_details(lake: Lake, **equal: str) -> list[dict[str, Any]]:
    """Return the details of :func:`read`'s events, oldest first; read their fields within :func:`reading_details`.

    Raises:
        LakeError: when an event's details are not a JSON object.
    """
    with reading_details():
        return [parse_object(text) for text in read(lake, **equal)["details"].to_pylist()]
