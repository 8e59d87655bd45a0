from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import date

import pytest
from tests.declarations import with_fields
from tests.landed_nights import ORDERS, PRICES, SHOP

from nightjar.declaration.data import Source
from nightjar.declaration.predicates import columns_read
from nightjar.declaration.rules import not_null
from nightjar.declaration.tables import Column
from nightjar.declaration.use_case import UseCase
from nightjar.lake import ledger
from nightjar.lake.lake import Lake
from nightjar.protocol.errors import ContractError
from nightjar.protocol.job import JobSpec
from nightjar.validation import contract_versions

NIGHT = date(2013, 4, 1)


def spec(lake: Lake) -> JobSpec:
    return JobSpec(
        program="ingest", use_case="shop", first_night=NIGHT, last_night=NIGHT, dag_id="d", run_id="r",
        task_id="ingest", lake=lake.uri,
    )  # fmt: skip


def with_columns(
    change: Callable[[Column], Column | None], *more: Column, key: tuple[str, ...] = ORDERS.table.key
) -> Source:
    columns = [changed for column in ORDERS.table.columns if (changed := change(column)) is not None]
    names = {column.name for column in columns}
    rules = tuple(rule for rule in ORDERS.rules if columns_read(rule.broken_when) <= names)
    return replace(ORDERS, table=replace(ORDERS.table, columns=(*columns, *more), key=key), rules=rules)


def shop(orders: Source, **fields: int) -> UseCase:
    return with_fields(SHOP, data={"sources": (orders, PRICES), **fields})


def on(name: str, **fields: object) -> Callable[[Column], Column | None]:
    return lambda column: replace(column, **fields) if column.name == name else column  # type: ignore[arg-type]


@pytest.fixture
def recorded(lake: Lake) -> Lake:
    """A lake whose ledger has the contract of the small use case."""
    first = contract_versions.check(lake, SHOP)
    assert first.first
    contract_versions.record(spec(lake), first)
    return lake


def test_the_same_contract_is_not_recorded_again(recorded: Lake) -> None:
    assert not contract_versions.check(recorded, SHOP).changed


@pytest.mark.parametrize(
    ("orders", "difference"),
    [
        (with_columns(on("amount", type="string")), "raw/orders.amount: type double -> string"),
        (with_columns(on("number", type="long")), "raw/orders.number: type int -> long"),
        (with_columns(on("amount", unit="cents")), "raw/orders.amount: unit none -> cents"),
        (with_columns(lambda c: None if c.name == "placed_at" else c), "raw/orders.placed_at: the column was removed"),
        (with_columns(on("source_file", nullable=True)), "raw/orders.source_file: nullable False -> True"),
        (with_columns(lambda c: c, key=("shop",)), "raw/orders: key (shop, number) -> (shop)"),
    ],
)
def test_a_change_that_breaks_readers_stops_with_the_difference(
    recorded: Lake, orders: Source, difference: str
) -> None:
    with pytest.raises(ContractError) as caught:
        contract_versions.check(recorded, shop(orders))
    assert difference in caught.value.what
    assert "raise `contract_version`" in caught.value.fix
    meant = contract_versions.check(recorded, shop(orders, contract_version=2))
    assert difference in meant.breaking
    contract_versions.record(spec(recorded), meant)
    assert not contract_versions.check(recorded, shop(orders, contract_version=2)).changed
    with pytest.raises(ContractError, match="version was lowered"):
        contract_versions.check(recorded, shop(orders, contract_version=1))


def test_a_change_that_adds_passes_and_is_recorded(recorded: Lake) -> None:
    more = with_columns(lambda column: column, Column("note", "string", "A note."))
    more = replace(more, rules=(*more.rules, not_null("amount")))
    changed = contract_versions.check(recorded, shop(more))
    assert changed.breaking == ()
    assert set(changed.additive) == {
        "raw/orders.note: a new column (string)",
        "raw/orders: rule amount_not_null is new",
    }
    contract_versions.record(spec(recorded), changed)
    events = ledger.read(recorded, event="contract", use_case="shop").to_pylist()
    assert [json.loads(event["details"])["version"] for event in events] == [1, 1]
    assert "a new column" in events[-1]["reason"]
