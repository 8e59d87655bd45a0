"""How well an item suits a group, by what similar groups chose: alternating least squares, for rankings."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

from pyspark.ml.recommendation import ALS
from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from nightjar.features.aggregates import count, total
from nightjar.features.keys import check_keys, check_new, has_values
from nightjar.features.trailing import trailing_by_night
from nightjar.protocol.errors import ConfigurationError
from nightjar.protocol.nights import Nights

SCORE = "als_score"
MAX_ITERATIONS = 6
"""Spark serializes the lineage of ALS, which grows with each iteration, by recursion: on the stack of a thread of 1 MB
that of 8 iterations fits, and that of 10 ends the Java process."""
_GROUP, _ITEM, _STRENGTH = "_group", "_item", "_strength"


def als_score(
    entities: DataFrame,
    interactions: DataFrame,
    nights: Nights,
    *,
    group: Sequence[str],
    item: Sequence[str],
    time: str,
    window_days: int,
    known_at: str | None = None,
    weight: str | None = None,
    factors: int = 16,
    iterations: int = 5,
    regularization: float = 0.1,
    confidence: float = 1.0,
    seed: int = 0,
) -> DataFrame:
    """Add to each entity, a pair of group and item, the score of the pair by implicit feedback.

    Each night has a model of its own, fitted to the interactions that were known at its end: later ones change nothing.
    It is Spark's ALS with ``implicitPrefs`` (Hu, Koren and Volinsky, 2008, Collaborative filtering for implicit
    feedback datasets): an interaction has confidence 1 + ``confidence`` times its strength. Spark fits it in one block
    of rows in the order of the keys, so that a night has the same bits alone, in an interval, and with its rows in
    another order; so one core fits a night.

    Rows in = rows out. The score is null for a group or an item without an interaction in the window, for a null in the
    key, and for a night that is not one of ``nights``.

    Args:
        entities: Rows to predict, with the columns ``ds`` (the night), of ``group`` and of ``item``. All columns are
            kept.
        interactions: Rows with the columns of ``group``, ``item``, ``time``, ``known_at`` and ``weight``. It needs the
            rows known from ``window_days`` - 1 days before the first night on (``history_nights``).
        nights: Nights of the entities.
        group: Columns of the group, e.g. the customer.
        item: Columns of the item.
        time: Date or timestamp (UTC) of an interaction.
        window_days: Days of interactions, ending with the night.
        known_at: As for :func:`nightjar.features.trailing.trailing`.
        weight: Strength of an interaction, at least 0; default: 1 for each row.
        factors: Width of the vectors of groups and items (Spark's ``rank``).
        iterations: Rounds of alternating least squares, at most :data:`MAX_ITERATIONS`.
        regularization: Spark's ``regParam``.
        confidence: Spark's ``alpha``.
        seed: Seed of the first vectors.

    Returns:
        The entities with the column ``als_score``.

    Raises:
        ConfigurationError: when the types of keys differ, the entities have such a column, or there are too many
            iterations; as for :func:`nightjar.features.trailing.trailing_by_night`.
    """
    key = [*group, *item]
    check_keys(entities, interactions, key)
    check_new(entities, [SCORE])
    if not 1 <= iterations <= MAX_ITERATIONS:
        raise ConfigurationError(f"{iterations} iterations", where="iterations", fix=f"choose 1 to {MAX_ITERATIONS}")
    strength = {_STRENGTH: total(weight) if weight else count()}
    by_night = trailing_by_night(
        interactions, nights, by=key, time=time, windows=[window_days], aggregates=strength, known_at=known_at
    )
    known = by_night.withColumnRenamed(f"{_STRENGTH}_{window_days}d", _STRENGTH).where(F.col(_STRENGTH) > 0).cache()
    als = ALS(
        rank=factors, maxIter=iterations, regParam=regularization, alpha=confidence, implicitPrefs=True, seed=seed,
        numUserBlocks=1, numItemBlocks=1, userCol=_GROUP, itemCol=_ITEM, ratingCol=_STRENGTH, coldStartStrategy="drop",
    )  # fmt: skip
    pairs = entities.where(has_values(key)).select("ds", *key).distinct()
    is_night = [F.col("ds") == night for night in nights]
    scores = [_scores(als, pairs.where(night), known.where(night), group, item) for night in is_night]
    known.unpersist()
    of_pairs = reduce(DataFrame.unionByName, scores)
    is_pair = reduce(Column.__and__, (entities[name] == of_pairs[_scored(name)] for name in ("ds", *key)))
    return entities.join(of_pairs, is_pair, "left").select(*(entities[name] for name in entities.columns), SCORE)


def _scores(als: ALS, pairs: DataFrame, known: DataFrame, group: Sequence[str], item: Sequence[str]) -> DataFrame:
    """Return the scores of a night's pairs whose group and item have interactions.

    Columns have names of their own: Spark cannot join a checkpoint with the rows that it comes from by the same names.
    """
    names = [F.col(name).alias(_scored(name)) for name in pairs.columns]
    groups, items = _numbered(known, group, _GROUP), _numbered(known, item, _ITEM)
    numbered = pairs.join(groups, list(group)).join(items, list(item))
    if known.isEmpty():
        return numbered.select(*names, F.lit(None).cast("double").alias(SCORE))
    rated = known.join(groups, list(group)).join(items, list(item))
    ratings = rated.select(_GROUP, _ITEM, F.col(_STRENGTH).cast("float")).coalesce(1)
    # its lineage is cut: that of ALS is long enough (see MAX_ITERATIONS)
    model = als.fit(ratings.sortWithinPartitions(_GROUP, _ITEM).localCheckpoint())
    score = F.col("prediction").cast("double").alias(SCORE)
    return model.transform(numbered).select(*names, score).localCheckpoint()


def _scored(name: str) -> str:
    return f"_scored_{name}"


def _numbered(known: DataFrame, columns: Sequence[str], name: str) -> DataFrame:
    """Return the distinct keys with their position in the order of keys, as ALS needs them."""
    position = F.row_number().over(Window.orderBy(*columns))
    return known.select(*columns).distinct().withColumn(name, position).localCheckpoint()
