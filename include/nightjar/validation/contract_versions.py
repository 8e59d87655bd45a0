"""Versions of a use case's contract: what its tables promise, kept in the ledger and compared before anything lands.

A change that no reader trips over (a column or rule more) passes and is recorded. One that breaks readers (a column
gone, another type, unit or key, a value that may now be missing) stops the night with the difference, until
``contract_version`` in ``use_case.py`` is raised to say that it is meant. The tables must be as declared even then: one
that holds other columns or types is migrated by a person before anything is committed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from nightjar.declaration.experiment import EXPERIMENT_COLUMNS
from nightjar.declaration.tables import Column
from nightjar.declaration.use_case import UseCase
from nightjar.lake import delta, ledger
from nightjar.protocol.documents import parse_object
from nightjar.protocol.errors import ContractError
from nightjar.protocol.job import JobSpec
from nightjar.validation.table_rules import rules_by_table

EVENT = "contract"
_NAMED = 8

Document = Mapping[str, Mapping[str, Any]]
"""Table to ``columns``, ``key``, ``rules`` and ``night_rules``; JSON values only."""


@dataclass(frozen=True, kw_only=True)
class Contract:
    """The contract as declared now, and how it differs from the one recorded last.

    Attributes:
        version: As declared.
        document: What the tables promise.
        breaking: Differences that break readers, in words.
        additive: Those that do not.
        first: Nothing was recorded before.
    """

    version: int
    document: Document
    breaking: tuple[str, ...] = ()
    additive: tuple[str, ...] = ()
    first: bool = False

    @property
    def changed(self) -> bool:
        return self.first or bool(self.breaking or self.additive)


def document(use_case: UseCase) -> Document:
    """What the use case's tables promise. Columns of an experiment come and go with it, and are no promise."""
    rules = rules_by_table(use_case)
    night_rules = {source.table.name: source.night_rules for source in use_case.sources}
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
            *(source.table for source in use_case.sources),
            *(use_case.quarantine_table, use_case.feature_table, use_case.label_table, use_case.score_table),
        )
    }


def check(lake: str, use_case: UseCase) -> Contract:
    """Compare the declared contract with the one recorded last, and with the tables in the lake.

    Raises:
        ContractError: when it breaks readers and its version was not raised, or the version was lowered.
        LakeError: when a table is not as declared.
    """
    now, version = document(use_case), use_case.contract_version
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
            f"the contract (version {version}; recorded: {recorded_version}) has changed so that readers break: "
            + ("; ".join(breaking[:_NAMED]) or "its version was lowered")
            + (f"; and {len(breaking) - _NAMED} more" if len(breaking) > _NAMED else ""),
            where=f"include/use_cases/{use_case.name}/use_case.py",
            how_many=max(1, len(breaking)),
            fix="undo the change, or tell the readers and raise `contract_version` (docs/runbooks/contract.md)",
        )
    _check_tables(lake, use_case)
    return Contract(version=version, document=now, breaking=breaking, additive=additive)


def _check_tables(lake: str, use_case: UseCase) -> None:
    for schema in use_case.tables:
        delta.check_table(lake, schema)


def record(spec: JobSpec, contract: Contract) -> None:
    """Append a changed contract to the ledger."""
    differences = [*contract.breaking, *contract.additive]
    reason = "first contract" if contract.first else "; ".join(differences)
    details = {
        "version": contract.version,
        "breaking": list(contract.breaking),
        "additive": list(contract.additive),
        "document": contract.document,
    }
    ledger.record(spec.lake, ledger.Event.of(spec, EVENT, reason=reason, details=details))


def compare(before: Document, now: Document) -> tuple[list[str], list[str]]:
    """Differences that break readers, and those that do not, each in words."""
    breaking = [f"{table}: the table is gone" for table in before.keys() - now.keys()]
    additive = [f"{table}: a new table" for table in now.keys() - before.keys()]
    for table in sorted(before.keys() & now.keys()):
        for breaks, words in _differences(before[table], now[table]):
            (breaking if breaks else additive).append(f"{table}{words}")
    return sorted(breaking), sorted(additive)


def _differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[tuple[bool, str]]:
    """Whether it breaks readers, and the words for it."""
    if before["key"] != now["key"]:
        yield True, f": key ({', '.join(before['key'])}) -> ({', '.join(now['key'])})"
    for name, column in before["columns"].items():
        if name not in now["columns"]:
            yield True, f".{name}: the column is gone"
            continue
        for field, old in column.items():
            new = now["columns"][name][field]
            if new != old:
                yield _breaks(field, old, new), f".{name}: {field} {_describe(old)} -> {_describe(new)}"
    for name in now["columns"].keys() - before["columns"].keys():
        yield False, f".{name}: a new column ({now['columns'][name]['type']})"
    for kind in ("rules", "night_rules"):
        for name in before[kind].keys() | now[kind].keys():
            if before[kind].get(name) != now[kind].get(name):
                word = "new" if name not in before[kind] else "gone" if name not in now[kind] else "changed"
                yield False, f": rule {name} is {word}"


def _breaks(field: str, old: Any, new: Any) -> bool:
    if field == "nullable":
        return bool(new)
    return True


def _describe(value: Any) -> str:
    return str(value) if value != "" else "none"


def _promise(column: Column) -> dict[str, Any]:
    return {"type": column.type, "nullable": column.nullable, "unit": column.unit}
