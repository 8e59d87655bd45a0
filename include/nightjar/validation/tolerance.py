"""Decide, from counts alone, whether a night may go on with the rows that it rejected."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from nightjar.contracts.errors import ContractError, RowCountError
from nightjar.contracts.rules import Rule
from nightjar.contracts.use_case import Source
from nightjar.validation.landing import LandedFile

_NAMED = 5


@dataclass(frozen=True, kw_only=True)
class NightCount:
    """What became of one source's rows of one night.

    Attributes:
        night: The night.
        rows: Rows read.
        rejected: Rows that break at least one rule that is more than a warning.
        broken: Rule name to the rows that break it; rules that no row breaks are left out.
    """

    night: date
    rows: int
    rejected: int
    broken: Mapping[str, int]

    @property
    def accepted(self) -> int:
        return self.rows - self.rejected


def check_rows_read(landed: Sequence[LandedFile], counts: Mapping[str, Sequence[NightCount]]) -> None:
    """Compare the rows read with the rows that the manifests promise.

    Args:
        landed: The checked files.
        counts: Source name to its counts.

    Raises:
        RowCountError: when a file gave more or fewer rows (a line break inside a quoted field does that).
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


def check_tolerance(
    counts: Mapping[str, Sequence[NightCount]],
    sources: Iterable[Source],
    rules: Mapping[str, Sequence[Rule]],
    *,
    quarantine: str,
) -> None:
    """Stop when a night of a source rejected too large a share, or any row broke a ``stop_night`` rule.

    Args:
        counts: Source name to its counts.
        sources: The sources, with their ``max_rejected_share``.
        rules: Source name to its whole contract.
        quarantine: URI of the quarantine table, for the message.

    Raises:
        ContractError: naming the nights, the worst rule and its reason.
    """
    problems: list[str] = []
    rejected = 0
    for source in sources:
        for count in counts[source.name]:
            if problem := _problem(source, count, rules[source.name]):
                problems.append(problem)
                rejected += count.rejected
    if problems:
        more = len(problems) - _NAMED
        raise ContractError(
            "; ".join(problems[:_NAMED]) + (f"; and {more} more" if more > 0 else ""),
            where=quarantine,
            how_many=rejected,
            fix="read the rejected rows there, have the source corrected and landed again (or, if the rows are right, "
            "correct the rule or max_rejected_share in use_case.py), then clear the task (docs/runbooks/contract.md)",
        )


def _problem(source: Source, count: NightCount, rules: Sequence[Rule]) -> str:
    stopping = {rule.name for rule in rules if rule.severity == "stop_night" and count.broken.get(rule.name)}
    share = count.rejected / count.rows if count.rows else 0.0
    if not stopping and share <= source.max_rejected_share:
        return ""
    rejecting = [rule for rule in rules if rule.severity != "warn" and count.broken.get(rule.name)]
    worst = max(rejecting, key=lambda rule: (rule.name in stopping, count.broken[rule.name]))
    allowed = (
        f"{worst.name} stops the night at the first row" if stopping else f"tolerated: {source.max_rejected_share:.1%}"
    )
    return (
        f"{source.table.name}, night {count.night}: {count.rejected} of {count.rows} rows rejected ({share:.1%}; "
        f"{allowed}), most by {worst.name} ({count.broken[worst.name]} rows: {worst.reason})"
    )
