"""Tend a use case's tables and those that all share: ``python -m nightjar_jobs.maintain_lake --spec <uri>``."""

from __future__ import annotations

import logging
from typing import Any

from nightjar.declaration.use_case import load_use_case
from nightjar.lake import ledger
from nightjar.lake.maintenance import maintain
from nightjar.monitoring.tables import MONITORING_TABLES
from nightjar.protocol.errors import NightjarError, error_of_kind
from nightjar.protocol.job import JobResult, JobSpec
from nightjar_jobs.runner import main

log = logging.getLogger(__name__)


def run(spec: JobSpec) -> JobResult:
    """Remove what is older than each table's retention, put the ledger's small files together, and record both in it.

    A table that cannot be maintained keeps none of the others from it.

    Returns:
        ``values``: table name to what was done (:class:`nightjar.lake.maintenance.Maintained`).

    Raises:
        NightjarError: after all others are maintained, when a table could not be; names each.
    """
    done: dict[str, dict[str, Any]] = {}
    failed: dict[str, NightjarError] = {}
    for schema in (*load_use_case(spec.use_case).tables, *MONITORING_TABLES, ledger.TABLE):
        try:
            maintained = maintain(spec.lake, schema)
        except NightjarError as error:
            log.exception("%s is not maintained", schema.name)
            failed[schema.name] = error
        else:
            if maintained:
                done[schema.name] = maintained.to_dict()
    removed = sum(table["removed"] for table in done.values())
    put_together = sum(table["put_together"] for table in done.values())
    reason = f"{len(done)} tables: {removed} files removed, {put_together} put together"
    if failed:
        reason += f"; not maintained: {', '.join(failed)}"
    ledger.record(spec.lake, ledger.Event.of(spec, "maintenance", reason=reason, details=done))
    if failed:
        first = next(iter(failed.values()))
        raise error_of_kind(
            first.kind,
            "not maintained: " + "; ".join(f"{name} ({error.what})" for name, error in failed.items()),
            where=first.where,
            how_many=len(failed),
            fix=first.fix,
        )
    return JobResult(
        status="succeeded",
        outputs={name: table["version"] for name, table in done.items()},
        metrics={"files_removed": float(removed), "files_put_together": float(put_together)},
        values=done,
    )


if __name__ == "__main__":
    main(run)
