"""Scores by ALS: groups like what similar groups chose, and no later interaction changes a night."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from nightjar.protocol.errors import ConfigurationError
from nightjar.protocol.nights import Nights

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = pytest.mark.spark
NIGHT = date(2013, 4, 10)
NEXT = NIGHT + timedelta(days=1)
NIGHTS = Nights(first=NIGHT, last=NEXT, timezone="UTC")
ALONE = Nights(first=NIGHT, last=NIGHT, timezone="UTC")
Row = tuple[str | None, str | None, date, date, int]
"""Customer, product, day, day on which it is known, number bought."""
Entity = tuple[date, str | None, str | None]
Scores = list[float | None]
PRODUCTS = [f"{taste} {number}" for taste in ("sweet", "sour") for number in range(8)]
ALL: list[Entity] = [(night, f"c{customer}", name) for night in NIGHTS for customer in range(12) for name in PRODUCTS]


def bought() -> list[Row]:
    """Twelve customers of two tastes, each of whom bought five of the eight products of that taste."""
    draw = random.Random(1)
    rows: list[Row] = []
    for customer in range(12):
        for number in draw.sample(range(8), 5):
            day = NIGHT - timedelta(days=draw.randrange(5))
            rows.append((f"c{customer}", f"{taste_of(customer)} {number}", day, day, draw.randint(1, 3)))
    return rows


def taste_of(customer: int) -> str:
    return "sweet" if customer % 2 else "sour"


def scored(
    spark: SparkSession, entities: Sequence[Entity], rows: Sequence[Row], nights: Nights = NIGHTS, **given: Any
) -> Scores:
    """Score of each entity, in order."""
    from nightjar.features.als import als_score

    types = "customer string, product string, day date, known date, number int"
    numbered = [(*entity, i) for i, entity in enumerate(entities)]
    asked = spark.createDataFrame(numbered, "ds date, customer string, product string, i int")
    found = als_score(
        asked, spark.createDataFrame(list(rows), types), nights,
        **{"group": ["customer"], "item": ["product"], "time": "day", "known_at": "known", "window_days": 7,
           "factors": 2, "regularization": 0.01, **given},
    )  # fmt: skip
    assert found.columns == [*asked.columns, "als_score"]
    collected = sorted(found.collect(), key=lambda row: row["i"])
    assert [(row["ds"], row["customer"], row["product"]) for row in collected] == list(entities), "rows in = rows out"
    return [row["als_score"] for row in collected]


def test_a_customer_likes_what_customers_of_the_same_taste_bought(spark: SparkSession) -> None:
    rows = bought()
    own = {(customer, product) for customer, product, *_ in rows}
    asked = [entity for entity in ALL if entity[0] == NIGHT and entity[1:] not in own]
    scores = scored(spark, asked, rows, ALONE)
    of_taste: dict[bool, list[float]] = {True: [], False: []}
    for (_, customer, product), score in zip(asked, scores, strict=True):
        assert customer is not None
        assert product is not None
        assert score is not None
        of_taste[product.startswith(taste_of(int(customer[1:])))].append(score)
    assert len(of_taste[True]) == 12 * 3
    assert min(of_taste[True]) > max(of_taste[False])
    assert max(of_taste[False]) < 0.2, "a pair without an interaction is not a missing value, but a weak no"


def test_pairs_without_interactions_keys_or_a_night_have_no_score(spark: SparkSession) -> None:
    old = NIGHT - timedelta(days=7)
    rows: list[Row] = [*bought(), ("c0", "outdated", old, old, 1), (None, "sweet 1", NIGHT, NIGHT, 9)]
    asked: list[Entity] = [
        (NIGHT, "c1", "sweet 1"), (NIGHT, "c1", "sweet 1"), (NIGHT, "c1", "outdated"), (NIGHT, "nobody", "sweet 1"),
        (NIGHT, None, "sweet 1"), (NIGHT, "c1", None), (NEXT, "c1", "sweet 1"),
    ]  # fmt: skip
    first, twice, *others = scored(spark, asked, rows, ALONE)
    assert first is not None
    assert twice == first
    assert others == [None] * 5
    assert scored(spark, asked[:1], rows[-2:], ALONE) == [None], "a night without interactions"


def test_later_and_later_known_interactions_change_no_earlier_night(spark: SparkSession) -> None:
    rows = bought()
    later: list[Row] = [
        ("c0", "sweet 1", NEXT, NEXT, 9),
        ("c2", "sweet 2", NIGHT - timedelta(days=2), NEXT, 9),  # lands late
        ("c4", "brand new", NEXT, NEXT, 9),
    ]
    asked: list[Entity] = [*ALL, (NEXT, "c4", "brand new")]
    before, after = (scored(spark, asked, known) for known in (rows, [*rows, *later]))
    of_night = len(ALL) // 2
    assert None not in before[:of_night]
    assert after[:of_night] == before[:of_night], "an interaction of the future changed a night"
    assert after[of_night:-1] != before[of_night:-1]
    assert before[-1] is None
    assert after[-1] is not None


def test_a_night_has_the_same_bits_alone_and_with_rows_in_another_order(spark: SparkSession) -> None:
    draw = random.Random(4)
    rows: list[Row] = [
        (f"c{customer}", f"p{product}", NIGHT, NIGHT, draw.randint(1, 99))
        for customer in range(150)
        for product in draw.sample(range(80), 40)
    ]
    asked: list[Entity] = [(NIGHT, f"c{customer}", f"p{product}") for customer in range(150) for product in range(9)]
    given: dict[str, Any] = {"weight": "number", "iterations": 6, "factors": 8}
    together = scored(spark, asked, rows, **given)
    assert None not in together
    assert scored(spark, asked, draw.sample(rows, len(rows)), ALONE, **given) == together
    assert scored(spark, asked, rows, ALONE, iterations=6, factors=8) != together, "the weight has no effect"


def test_wrong_arguments_are_refused(spark: SparkSession) -> None:
    from nightjar.features.als import als_score

    with pytest.raises(ConfigurationError, match=r"7 iterations.*choose 1 to 6"):
        scored(spark, ALL, bought(), iterations=7)
    with pytest.raises(ConfigurationError, match="windows of"):
        scored(spark, ALL, bought(), window_days=0)
    names = spark.createDataFrame([("c", "a", NIGHT)], "customer string, product string, day date")
    for types, what in (
        ("ds date, customer int, product string", r"customer \(int and string\)"),
        ("ds date, customer string, product string, als_score double", "already have als_score"),
    ):
        entities = spark.createDataFrame([], types)
        with pytest.raises(ConfigurationError, match=what):
            als_score(entities, names, ALONE, group=["customer"], item=["product"], time="day", window_days=7)
