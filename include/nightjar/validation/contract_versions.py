"""Versions of a use case's contract: recorded in the ledger and compared before anything lands.

A compatible change (a new column or rule) passes and is recorded. A breaking change (a removed column, another type,
unit or key, a column that may now be null) stops the night with the difference, until ``contract_version`` in
``use_case.py`` is raised to confirm it. The tables must be as declared in any case: a table with other columns or
types must be migrated by a person before anything is committed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from nightjar.declaration.experiment import EXPERIMENT_COLUMNS
from nightjar.declaration.tables import Column
from nightjar.declaration.use_case import UseCase
from nightjar.lake import ledger
from nightjar.lake.lake import Lake
from nightjar.protocol.documents import parse_object
from nightjar.protocol.errors import ContractError
from nightjar.protocol.job import JobSpec
from nightjar.validation.table_rules import rules_by_table

EVENT = "contract"
_NAMED = 8

Document = Mapping[str, Mapping[str, Any]]
"""Table name to ``columns``, ``key``, ``rules`` and ``night_rules``; JSON values only."""


@dataclass(frozen=True, kw_only=True)
class Contract:
    """The contract as declared now, and its difference from the last recorded one.

    Attributes:
        version: Declared version.
        document: Contract of each table.
        breaking: Descriptions of the breaking differences.
        additive: Descriptions of the compatible differences.
        first: Whether no contract was recorded before.
    """

    version: int
    document: Document
    breaking: tuple[str, ...] = ()
    additive: tuple[str, ...] = ()
    first: bool = False

    @property
    def changed(self) -> bool:
        """Whether the contract differs from the last recorded one, or is the first."""
        return self.first or bool(self.breaking or self.additive)


def document(use_case: UseCase) -> Document:
    """Return the contract of the use case's tables, without the columns of an experiment, which come and go with it."""
    rules = rules_by_table(use_case)
    night_rules = {source.table.name: source.night_rules for source in use_case.data.sources}
    return {
        schema.name: {
            "columns": {c.name: _promise(c) for c in schema.columns if c not in EXPERIMENT_COLUMNS},
            "key": list(schema.key),
            "rules": {rule.name: [rule.broken_when, rule.severity] for rule in rules.get(schema.name, ())},
            "night_rules": {
                rule.name: {k: v for k, v in asdict(rule).items() if k not in {"name", "reason"}}
                for rule in night_rules.get(schema.name, ())
            },
        }
        for schema in (
            *(source.table for source in use_case.data.sources),
            *(use_case.quarantine_table, use_case.feature_table, use_case.label_table, use_case.score_table),
        )
    }


def check(lake: Lake, use_case: UseCase) -> Contract:
    """Compare the declared contract with the last recorded one, and with the tables in the lake.

    Raises:
        ContractError: for a breaking change without a raised version, or a lowered version.
        LakeError: when a table is not as declared.
    """
    now, version = document(use_case), use_case.data.contract_version
    recorded = ledger.read(lake, event=EVENT, use_case=use_case.name).to_pylist()
    if not recorded:
        _check_tables(lake, use_case)
        return Contract(version=version, document=now, first=True)
    with ledger.reading_details():
        last = parse_object(recorded[-1]["details"])
        recorded_version = int(last["version"])
        breaking, additive = (tuple(lines) for lines in compare(last["document"], now))
    if version < recorded_version or (breaking and version == recorded_version):
        raise ContractError(
            f"the contract (version {version}; recorded: {recorded_version}) has changed in a way that breaks readers: "
            + ("; ".join(breaking[:_NAMED]) or "its version was lowered")
            + (f"; and {len(breaking) - _NAMED} more" if len(breaking) > _NAMED else ""),
            where=f"include/use_cases/{use_case.name}/use_case.py",
            how_many=max(1, len(breaking)),
            fix="undo the change, or notify the readers and raise `contract_version` (docs/runbooks/contract.md)",
        )
    _check_tables(lake, use_case)
    return Contract(version=version, document=now, breaking=breaking, additive=additive)


def _check_tables(lake: Lake, use_case: UseCase) -> None:
    for schema in use_case.tables:
        lake.table(schema).check()


def record(spec: JobSpec, contract: Contract) -> None:
    """Record a changed contract in the ledger."""
    differences = [*contract.breaking, *contract.additive]
    reason = "first contract" if contract.first else "; ".join(differences)
    details = {
        "version": contract.version,
        "breaking": list(contract.breaking),
        "additive": list(contract.additive),
        "document": contract.document,
    }
    ledger.record(Lake(spec.lake), ledger.Event.of(spec, EVENT, reason=reason, details=details))


def compare(recorded: Document, now: Document) -> tuple[list[str], list[str]]:
    """Return descriptions of the breaking and of the compatible differences."""
    breaking = [f"{table}: the table was removed" for table in recorded.keys() - now.keys()]
    additive = [f"{table}: a new table" for table in now.keys() - recorded.keys()]
    for table in sorted(recorded.keys() & now.keys()):
        for breaks, words in _differences(recorded[table], now[table]):
            (breaking if breaks else additive).append(f"{table}{words}")
    return sorted(breaking), sorted(additive)


def _differences(recorded: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[tuple[bool, str]]:
    """Yield, for each difference, whether it breaks readers, and its description."""
    if recorded["key"] != now["key"]:
        yield True, f": key ({', '.join(recorded['key'])}) -> ({', '.join(now['key'])})"
    for name, column in recorded["columns"].items():
        if name not in now["columns"]:
            yield True, f".{name}: the column was removed"
            continue
        for field, old in column.items():
            new = now["columns"][name][field]
            if new != old:
                yield _breaks(field, old, new), f".{name}: {field} {_describe(old)} -> {_describe(new)}"
    for name in now["columns"].keys() - recorded["columns"].keys():
        yield False, f".{name}: a new column ({now['columns'][name]['type']})"
    for kind in ("rules", "night_rules"):
        for name in recorded[kind].keys() | now[kind].keys():
            if recorded[kind].get(name) != now[kind].get(name):
                word = "new" if name not in recorded[kind] else "removed" if name not in now[kind] else "changed"
                yield False, f": rule {name} is {word}"


def _breaks(field: str, old: Any, new: Any) -> bool:
    if field == "nullable":
        return bool(new)
    return True


def _describe(value: Any) -> str:
    return str(value) if value != "" else "none"


def _promise(column: Column) -> dict[str, Any]:
    return {"type": column.type, "nullable": column.nullable, "unit": column.unit}
