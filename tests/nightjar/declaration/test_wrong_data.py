"""Invalid columns, sources and rules are rejected at declaration, with what is wrong, where, and the allowed values."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.landed_nights import ORDERS, SHOP
from tests.nightjar.declaration.refusals import (
    Declare,
    Wrong,
    assert_refused,
    cases,
    features,
    shop,
)

from nightjar.declaration.data import Source
from nightjar.declaration.features import Feature
from nightjar.declaration.monitoring import Performance
from nightjar.declaration.rules import NightRule, Rule, between, fresh, like_usual, matches, not_null
from nightjar.declaration.tables import DS, LANDED, Column, TableSchema

NAN, INFINITE = float("nan"), float("inf")


def entity(**changed: Any) -> Declare:
    return shop(entity=changed)


def orders(**changed: Any) -> Declare:
    return lambda: replace(ORDERS, **changed)


def columns(*more: Column) -> Declare:
    table = ORDERS.table
    return lambda: replace(ORDERS, table=replace(table, columns=(*table.columns, *more)))


def broken_when(predicate: str) -> Declare:
    rule = Rule(name="wrong", broken_when=predicate, reason="It is wrong.")
    return features(rules=(rule,))


def pattern(of: str) -> Declare:
    return lambda: matches("shop", of, like="a shop")


def price(type: str) -> Column:
    return Column("price", type, "Price.")


WRONG: dict[str, list[Wrong]] = {
    "columns": [
        (features(columns=()), "columns is empty", "FeatureSet.columns", "at least one"),
        (entity(key=()), "key is empty", "Entity.key", "at least one"),
        (
            features(columns=SHOP.features.columns * 2),
            "column amount is declared more than once", "FeatureSet.columns", "once",
        ),
        (entity(key=SHOP.entity.key * 2), "declared more than once", "Entity.key", "shop, number, shop, number"),
        (
            entity(carried=SHOP.entity.key[:1]),
            "shop is declared twice: in key, and in carried", "Entity.carried", "leave",
        ),
        (
            features(columns=(Feature("shop", "numeric", "Shop."),)),
            "feature shop is numeric", "shop, UseCase.features.columns", "read from: boolean, double, int, long",
        ),
        (
            features(columns=(Feature("number", "categorical", "Number."),)),
            "feature number is categorical", "UseCase.features.columns", "read from: string",
        ),
        (
            features(columns=(Feature("label", "numeric", "Label."),)),
            "column label is one", "FeatureSet.columns", "taken are: dag_run",
        ),
        (
            entity(carried=(Column("prediction", "double", "P."),)),
            "column prediction is one", "Entity.carried", "taken",
        ),
        (entity(key=(Column("ds", "date", "Night."),)), "column ds is one", "Entity.key", "taken are"),
        (entity(key=(Column("outcome", "string", "O."),)), "column outcome is one", "Entity.key", "taken are"),
        (
            features(columns=(Feature("reason_1", "numeric", "R."),)),
            "column reason_1 is one", "FeatureSet.columns", "reason_<n>",
        ),
        (features(columns=(Feature("group", "numeric", "G."),)), "group is a reserved word", "FeatureSet", "group_id"),
        (
            features(columns=(Feature("amount", "numeric", "Euros.", drift=False),)),
            "no feature is watched for drift", "FeatureSet.columns", "drift=True",
        ),
        (
            shop(monitoring={"performance": Performance(slices=("shp",))}),
            "unknown column 'shp'", "performance.slices", "did you mean 'shop'",
        ),
        (
            shop(monitoring={"performance": Performance(slices=("shop", "shop"))}),
            "column shop is declared more", "slices", "once",
        ),
        (
            columns(Column("amount", "int", "Again.")),
            "column amount is declared more", "raw/orders, TableSchema", "once",
        ),
        (columns(Column("landed_at", "timestamp", "Again.")), "landed_at is declared more", "TableSchema", "once"),
        (columns(Column("select", "string", "S.")), "select is a reserved word", "Source.table", "select_id"),
        (columns(Column("tags", "array<string>", "T.")), "a CSV field cannot hold an array", "Source.table", "string"),
    ],
    "sources": [
        (orders(file="../orders.csv"), "file is '../orders.csv'", "raw/orders, Source.file", "orders.csv"),
        (orders(file="orders.parquet"), "file is 'orders.parquet'", "Source.file", "a CSV file"),
        (orders(max_rejected_share=2), "max_rejected_share is 2", "Source.max_rejected_share", "at most 1"),
        (orders(max_rejected_share=NAN), "max_rejected_share is nan", "Source.max_rejected_share", "finite number"),
        (orders(expected_to_vary=("year",)), "unknown column 'year'", "Source.expected_to_vary", "choose from: amount"),
        (orders(table=replace(ORDERS.table, name="scores/orders")), "table is scores/orders", "Source.table", "raw/<"),
        (
            lambda: Source(file="a.csv", table=TableSchema(name="raw/a", comment="A.", columns=(DS, price("double")))),
            "column source_file is missing", "source raw/a", "landed_at (timestamp)",
        ),
        (
            lambda: Source(file="a.csv", table=TableSchema(name="raw/a", comment="A.", columns=(DS, *LANDED))),
            "the file has no column", "source raw/a", "the file's columns",
        ),
        (
            lambda: TableSchema(name="raw/a", comment="A.", columns=(DS, price("double")), key=("item",)),
            "unknown column 'item'", "table raw/a, TableSchema.key", "choose from: ds, price",
        ),
        (
            lambda: TableSchema(name="raw/a", comment="A.", columns=(DS,), retention_days=1),
            "retention_days is 1", "TableSchema.retention_days", "at least 7",
        ),
    ],
    "rules": [
        (orders(rules=(not_null("placed"),)), "unknown column 'placed'", "rule placed_not_null", "mean 'placed_at'"),
        (orders(rules=(not_null("amount"),) * 2), "rule amount_not_null is declared", "Source.rules", "each rule once"),
        (
            features(rules=(between("amuont", 0, 1, unit="euros"),)),
            "unknown column 'amuont'", "amuont_between", "'amount'",
        ),
        (
            broken_when("abs(price) > 1"),
            "unknown column 'price'", "UseCase.features.rules, rule wrong", "from: amount, ds",
        ),
        (broken_when("amount > (1"), "a ( is not closed", "rule wrong", "'amount < 0'"),
        (broken_when("shop = 'N"), "a quote is not closed", "rule wrong", "'amount < 0'"),
        (broken_when(""), "it is empty", "rule wrong", "'amount < 0'"),
        (pattern("[0-9A-Z{2}"), "not a valid regular expression", "rule shop_matches, matches.pattern", "[0-9A-Z]{2}"),
        (pattern("(?P<year>[0-9]{4})"), "(?P in '(?P<year>", "rule shop_matches, matches.pattern", "of Java"),
        (lambda: Rule(name="No", broken_when="a", reason="r"), "name is 'No'", "Rule.name", "lower-case"),
        (
            lambda: Rule(name="a", broken_when="a", reason="r", severity="fail"),
            "severity is 'fail'", "Rule.severity", "'reject_row', 'stop_night', 'warn'",
        ),
        (orders(night_rules=(fresh("amount", 3),)), "amount is of type double", "rule amount_fresh", "timestamp"),
        (orders(night_rules=(like_usual("placed_at", 1),)), "of type timestamp", "placed_at_like_usual", "string"),
        (
            orders(night_rules=(like_usual("colour", 1),)),
            "unknown column 'colour'", "colour_like_usual", "choose from: amou",
        ),
        (
            lambda: NightRule(name="a", figure="rows", reason="r"),
            "neither a low nor a high", "rule a", "give low, high",
        ),
        (
            lambda: NightRule(name="a", figure="rows", low=3, high=2, reason="r"),
            "low 3 is above high 2", "rule a", "low",
        ),
        (lambda: NightRule(name="a", figure="mean", low=3, reason="r"), "'mean', and column ''", "rule a", "name one"),
        (
            lambda: NightRule(name="a", figure="median", column="x", low=3, reason="r"),
            "figure is 'median'", "NightRule.figure", "'p50'",
        ),
        (lambda: between("amount", INFINITE, 1, unit="euros").broken_when and like_usual("a", INFINITE), "inf",
         "NightRule.high", "finite number"),
    ],
}  # fmt: skip


@pytest.mark.parametrize(("declare", "what", "where", "allowed"), cases(WRONG))
def test_a_wrong_declaration_is_refused_with_what_where_and_what_may_be(
    declare: Declare, what: str, where: str, allowed: str
) -> None:
    assert_refused(declare, what, where, allowed)
