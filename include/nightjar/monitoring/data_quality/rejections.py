"""Rejected rows of a night by rule, with the contract's own reasons."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import pyarrow as pa
import pyarrow.compute as pc

from nightjar.declaration.scoring import SCORING_RULES
from nightjar.declaration.use_case import UseCase
from nightjar.lake.lake import Lake
from nightjar.validation.table_rules import rules_by_table


@dataclass(frozen=True, kw_only=True)
class Rejection:
    """Rows of one night that broke one rule.

    Attributes:
        table: Target table of the rows.
        rule: Name of the rule.
        reason: Meaning of the rule; empty when the contract has dropped it.
        rows: Number of rows; a row that broke two rules counts for both.
    """

    table: str
    rule: str
    reason: str
    rows: int


def count_rejections(lake: Lake, use_case: UseCase, night: date) -> list[Rejection]:
    """Count the quarantined rows of ``night`` by rule, the largest count first."""
    quarantine = lake.table(use_case.quarantine_table)
    if not quarantine.exists():
        return []
    rows = quarantine.read_nights([night], ["table_name", "rules"]).combine_chunks()
    broken = pa.table(
        {
            "table_name": rows["table_name"].take(pc.list_parent_indices(rows["rules"])),
            "rule": pc.list_flatten(rows["rules"]),
        }
    )
    counted = broken.group_by(["table_name", "rule"]).aggregate([([], "count_all")]).to_pylist()
    reasons = {(table, rule.name): rule.reason for table, rules in rules_by_table(use_case).items() for rule in rules}
    reasons |= {(use_case.feature_table.name, rule): reason for rule, reason in SCORING_RULES.items()}
    rejections = [
        Rejection(
            table=row["table_name"],
            rule=row["rule"],
            reason=reasons.get((row["table_name"], row["rule"]), ""),
            rows=row["count_all"],
        )
        for row in counted
    ]
    return sorted(rejections, key=lambda rejection: (-rejection.rows, rejection.table, rejection.rule))
