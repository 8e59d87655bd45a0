"""Which rules sent how many of a night's rows to quarantine, in the contract's own words."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import pyarrow as pa
import pyarrow.compute as pc

from nightjar.declaration.scoring import SCORING_RULES
from nightjar.declaration.use_case import UseCase
from nightjar.lake import delta
from nightjar.validation.table_rules import rules_by_table


@dataclass(frozen=True, kw_only=True)
class Rejection:
    """Rows of one night that broke one rule.

    Attributes:
        table: Table that they were meant for.
        rule: Name of the rule.
        reason: What it means; empty for a rule that the contract has no longer.
        rows: How many; a row that broke two rules counts with both.
    """

    table: str
    rule: str
    reason: str
    rows: int


def rejections(lake: str, use_case: UseCase, night: date) -> list[Rejection]:
    """What ``night`` has in quarantine, the rule with the most rows first."""
    quarantine = use_case.quarantine_table.name
    if not delta.table_exists(lake, quarantine):
        return []
    rows = delta.read_nights(lake, quarantine, [night], ["table_name", "rules"]).combine_chunks()
    broken = pa.table(
        {
            "table_name": rows["table_name"].take(pc.list_parent_indices(rows["rules"])),
            "rule": pc.list_flatten(rows["rules"]),
        }
    )
    counted = broken.group_by(["table_name", "rule"]).aggregate([([], "count_all")]).to_pylist()
    reasons = {(table, rule.name): rule.reason for table, rules in rules_by_table(use_case).items() for rule in rules}
    reasons |= {(use_case.feature_table.name, rule): reason for rule, reason in SCORING_RULES.items()}
    found = [
        Rejection(
            table=row["table_name"],
            rule=row["rule"],
            reason=reasons.get((row["table_name"], row["rule"]), ""),
            rows=row["count_all"],
        )
        for row in counted
    ]
    return sorted(found, key=lambda one: (-one.rows, one.table, one.rule))
