"""A small use case and its landed nights, for tests of landing, ingestion and validation."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

from nightjar.declaration.data import Data, Source
from nightjar.declaration.entity import Entity
from nightjar.declaration.features import Feature, FeatureSet
from nightjar.declaration.gate import Gate
from nightjar.declaration.problem import Binary
from nightjar.declaration.rules import Rule, between, not_null, one_of
from nightjar.declaration.schedule import Schedule
from nightjar.declaration.tables import DS, LANDED, Column, TableSchema
from nightjar.declaration.target import Target
from nightjar.declaration.training import Training
from nightjar.declaration.use_case import UseCase
from nightjar.protocol.job import JobSpec
from tests.declarations import with_fields

NIGHTS = (date(2013, 4, 1), date(2013, 4, 2))
ORDERS = Source(
    file="orders.csv",
    table=TableSchema(
        name="raw/orders",
        comment="Orders due.",
        key=("shop", "number"),
        columns=(
            DS,
            Column("shop", "string", "Shop."),
            Column("number", "int", "Number of the order in its shop."),
            Column("amount", "double", "Amount, euros."),
            Column("placed_at", "timestamp", "When it was placed (UTC)."),
            *LANDED,
        ),
    ),
    rules=(
        not_null("placed_at"),
        one_of("shop", ("N", "S")),
        between("amount", 0, 1000, unit="euros"),
        Rule(name="placed_in_day", broken_when="to_date(placed_at) <> ds", reason="placed_at lies outside the day"),
    ),
    max_rejected_share=0.25,
)
PRICES = Source(
    file="prices.csv",
    table=TableSchema(
        name="raw/prices",
        comment="Prices of the night.",
        key=("item",),
        columns=(DS, Column("item", "string", "Item."), Column("price", "double", "Price, euros."), *LANDED),
    ),
    rules=(
        Rule(name="price_known", broken_when="price IS NULL", reason="price has no value", severity="warn"),
        between("price", 0, 100, unit="euros", severity="stop_night"),
    ),
    max_rejected_share=1.0,
)
SHOP = UseCase(
    name="shop",
    title="Returns of orders",
    owner="me",
    schedule=Schedule(
        timezone="UTC",
        nightly="@daily",
        training="@weekly",
        first_night=NIGHTS[0],
    ),
    data=Data(
        sources=(ORDERS, PRICES),
        features_from=ORDERS.name,
        labels_from=PRICES.name,
    ),
    entity=Entity(
        key=(Column("shop", "string", "Shop.", nullable=False), Column("number", "int", "Number.", nullable=False))
    ),
    features=FeatureSet(
        columns=(Feature("amount", "numeric", "Amount, euros."),), rules=(between("amount", 0, 500, unit="euros"),)
    ),
    problem=Binary(),
    target=Target(label="1 when it came back.", prediction="Probability that it comes back."),
    training=Training(),
    gate=Gate(floors={"auc": 0.5}),
)
PRICE_LINES = ("A,1.5", "B,NA", "C,3")


def orders_of(night: date, rows: int = 8) -> list[str]:
    """Clean lines of ``orders.csv``: numbers from 0, amounts 10, 11, …, both shops."""
    return [f"{'NS'[i % 2]},{i},{10 + i},{night}T{i:02d}:30:00Z" for i in range(rows)]


def land_night(landing: Path, night: date, lines: Mapping[str, Sequence[str]] | None = None) -> Path:
    """Land a night whole, with its manifest; ``lines`` replaces files' rows. Returns the night's folder."""
    folder = landing / SHOP.name / night.isoformat()
    folder.mkdir(parents=True, exist_ok=True)
    content = {"orders.csv": orders_of(night), "prices.csv": list(PRICE_LINES), **(lines or {})}
    for source in SHOP.data.sources:
        header = ",".join(column.name for column in source.file_columns)
        (folder / source.file).write_text("".join(f"{line}\n" for line in (header, *content[source.file])))
    write_manifest(folder)
    return folder


def write_manifest(folder: Path) -> None:
    """Write the manifest that matches the current files."""
    manifest = {}
    for file in sorted(folder.glob("*.csv")):
        data = file.read_bytes()
        manifest[file.name] = {
            "rows": max(data.count(b"\n") - 1, 0),
            "bytes": len(data),
            "sha256": hashlib.sha256(data).hexdigest(),
        }
    (folder / "manifest.json").write_text(json.dumps(manifest))


def days(first: date, last: date) -> list[date]:
    """All days from ``first`` to ``last``."""
    return [first + timedelta(days=i) for i in range((last - first).days + 1)]


def shop_spec(program: str, lake: str, first: date, last: date) -> JobSpec:
    """Return the job of a program on nights of the use case."""
    return JobSpec(
        program=program, use_case=SHOP.name, first_night=first, last_night=last, dag_id="shop_nightly",
        run_id="manual__1", task_id=program, lake=lake,
    )  # fmt: skip


def tolerant(share: float) -> UseCase:
    """The use case with another tolerance for orders."""
    return with_fields(SHOP, data={"sources": (replace(ORDERS, max_rejected_share=share), PRICES)})
