"""Tend a use case's tables and those that all share: ``python -m nightjar_jobs.maintain_lake --spec <uri>``."""

from __future__ import annotations

from nightjar.contracts.job import JobResult, JobSpec
from nightjar.contracts.use_case import load_use_case
from nightjar.lake import ledger
from nightjar.lake.maintenance import maintain
from nightjar.monitoring.tables import MONITORING_TABLES
from nightjar_jobs.runner import main


def run(spec: JobSpec) -> JobResult:
    """Remove what is older than each table's retention, put the ledger's small files together, and say so in it.

    Returns:
        ``values``: table name to what was done (:class:`nightjar.lake.maintenance.Maintained`).

    Raises:
        UnreachableError: when the lake does not answer.
    """
    schemas = (*load_use_case(spec.use_case).tables, *MONITORING_TABLES, ledger.TABLE)
    done = {found.table: found.to_dict() for schema in schemas if (found := maintain(spec.lake, schema))}
    removed = sum(table["removed"] for table in done.values())
    put_together = sum(table["put_together"] for table in done.values())
    reason = f"{len(done)} tables: {removed} files removed, {put_together} put together"
    ledger.record(spec.lake, ledger.Event.of(spec, "maintenance", reason=reason, details=done))
    return JobResult(
        status="succeeded",
        outputs={name: table["version"] for name, table in done.items()},
        metrics={"files_removed": float(removed), "files_put_together": float(put_together)},
        values=done,
    )


if __name__ == "__main__":
    main(run)
