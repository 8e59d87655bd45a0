"""Row counts of a landing, and the error that describes why they stop a night."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from nightjar.declaration.data import Source
from nightjar.protocol.errors import ContractError, RowCountError
from nightjar.validation.landing import LandedFile
from nightjar.validation.night_count import NightCount

if TYPE_CHECKING:
    from nightjar.validation.expectations import TableCheck, Verdict

_NAMED = 5


def check_rows_read(landed: Sequence[LandedFile], counts: Mapping[str, Sequence[NightCount]]) -> None:
    """Compare the rows read with the rows in the manifests.

    Args:
        landed: The checked files.
        counts: Source name to its counts by night.

    Raises:
        RowCountError: when the numbers differ (e.g. after a line break inside a quoted field).
    """
    read = {(source, count.night): count.rows for source, nights in counts.items() for count in nights}
    wrong = [(file, got) for file in landed if (got := read.get((file.source, file.night), 0)) != file.rows]
    if wrong:
        file, got = wrong[0]
        raise RowCountError(
            f"{got} rows were read of {file.uri.rsplit('/', 1)[-1]} of night {file.night}, "
            f"and its manifest promises {file.rows}",
            where=file.uri,
            how_many=len(wrong),
            fix="look for line breaks inside fields and blank lines, have the file delivered again, clear the task",
        )


def stop_if_refused(verdict: Verdict, sources: Iterable[Source], *, docs: str) -> None:
    """Raise an error when the verdict of Great Expectations on a landing is not a success.

    Args:
        verdict: Verdict on the tables of ``sources``.
        sources: The sources, with their ``max_rejected_share``.
        docs: Root of the Data Docs.

    Raises:
        ContractError: naming nights, worst rules and reasons.
    """
    if verdict.success:
        return
    by_table = {source.table.name: source for source in sources}
    failed = [table for table in verdict.tables if not table.success]
    problems: list[str] = []
    rejected = 0
    for table in failed:
        check = table.check
        described = [
            (count, words) for count in check.counts if (words := _describe(by_table[check.table], count, check))
        ]
        problems += [words for _, words in described] or [
            f"{check.table} could not be judged: {'; '.join(table.failed) or 'no result'}"
        ]
        rejected += sum(count.rejected for count, _ in described)
    more = len(problems) - _NAMED
    raise ContractError(
        "; ".join(problems[:_NAMED]) + (f"; and {more} more" if more > 0 else ""),
        where=f"{docs}/{failed[0].page}" if failed else docs,
        how_many=rejected or len(problems) or 1,
        fix="read the rejected rows in the quarantine and the warnings in monitoring/warnings, have the source "
        "corrected and landed again (or, if the rows are right, correct the rule or max_rejected_share in "
        "use_case.py), then clear the task (docs/runbooks/contract.md)",
    )


def _describe(source: Source, count: NightCount, check: TableCheck) -> str:
    """Describe what stops one night of a source, worst first; empty when nothing does."""
    stopping = {rule.name for rule in check.rules if rule.severity == "stop_night" and count.broken.get(rule.name)}
    share = count.rejected / count.rows if count.rows else 0.0
    parts = [
        found.what
        for found in check.judged
        if found.night == count.night and not found.kept and found.severity == "stop_night"
    ]
    if stopping or share > source.max_rejected_share:
        rejecting = [rule for rule in check.rules if rule.severity != "warn" and count.broken.get(rule.name)]
        worst = max(rejecting, key=lambda rule: (rule.name in stopping, count.broken[rule.name]))
        allowed = (
            f"{worst.name} stops the night at the first row"
            if stopping
            else f"tolerated: {source.max_rejected_share:.1%}"
        )
        parts.insert(
            0,
            f"{count.rejected} of {count.rows} rows rejected ({share:.1%}; {allowed}), most by {worst.name} "
            f"({count.broken[worst.name]} rows: {worst.reason})",
        )
    return f"{source.table.name}, night {count.night}: {'; '.join(parts)}" if parts else ""
