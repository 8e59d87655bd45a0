"""Maintain a use case's tables and the shared tables: ``python -m nightjar_jobs.maintain_lake --spec <uri>``."""

from __future__ import annotations

import logging

from nightjar.declaration.use_case import load_use_case
from nightjar.lake import ledger
from nightjar.lake.lake import Lake
from nightjar.lake.maintenance import maintain
from nightjar.monitoring.tables import MONITORING_TABLES
from nightjar.protocol.documents import dump_values
from nightjar.protocol.errors import NightjarError, error_of_kind
from nightjar.protocol.job import JobSpec
from nightjar.protocol.results import MaintainLakeResult, TableMaintenance
from nightjar_jobs.runner import main

log = logging.getLogger(__name__)


def run(spec: JobSpec) -> MaintainLakeResult:
    """Remove files older than each table's retention, compact the ledger's small files, and record both in the ledger.

    A failure of one table does not affect the others.

    Raises:
        NightjarError: naming the tables that could not be maintained, after all others are maintained_tables.
    """
    lake = Lake(spec.lake)
    maintained_tables: dict[str, TableMaintenance] = {}
    failed: dict[str, NightjarError] = {}
    for schema in (*load_use_case(spec.use_case).tables, *MONITORING_TABLES, ledger.TABLE):
        try:
            maintained = maintain(lake.table(schema))
        except NightjarError as error:
            log.exception("%s is not maintained", schema.name)
            failed[schema.name] = error
        else:
            if maintained:
                maintained_tables[schema.name] = maintained
    removed = sum(table.removed for table in maintained_tables.values())
    compacted = sum(table.compacted for table in maintained_tables.values())
    reason = f"{len(maintained_tables)} tables: {removed} files removed, {compacted} compacted"
    if failed:
        reason += f"; not maintained: {', '.join(failed)}"
    ledger.record(
        lake,
        ledger.Event.of(
            spec,
            "maintenance",
            reason=reason,
            details={name: dump_values(table) for name, table in maintained_tables.items()},
        ),
    )
    if failed:
        first = next(iter(failed.values()))
        raise error_of_kind(
            first.kind,
            "not maintained: " + "; ".join(f"{name} ({error.what})" for name, error in failed.items()),
            where=first.where,
            how_many=len(failed),
            fix=first.fix,
        )
    return MaintainLakeResult(
        outputs={name: table.version for name, table in maintained_tables.items()},
        metrics={"files_removed": float(removed), "files_compacted": float(compacted)},
        tables=maintained_tables,
    )


if __name__ == "__main__":
    main(run)
