"""Checks of the columns by which features are joined."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from nightjar.protocol.errors import ConfigurationError


def check_keys(entities: DataFrame, table: DataFrame, by: Sequence[str]) -> None:
    """Check that the columns of ``by`` have equal types on both sides: Spark would convert them without a word.

    Raises:
        ConfigurationError: naming the columns.
    """
    types = {name: [frame.schema[name].dataType.simpleString() for frame in (entities, table)] for name in by}
    different = [f"{name} ({left} and {right})" for name, (left, right) in types.items() if left != right]
    if different or not by:
        raise ConfigurationError(
            f"keys of entities and table have different types: {', '.join(different)}" if by else "the key is empty",
            where="by",
            how_many=len(different) or 1,
            fix="cast one of the two" if by else "name the columns that identify an entity",
        )


def check_new(entities: DataFrame, names: Iterable[str]) -> None:
    """Check that no column of the result replaces a column of the entities.

    Raises:
        ConfigurationError: naming the columns.
    """
    if taken := sorted(set(names) & set(entities.columns)):
        raise ConfigurationError(
            f"the entities already have {', '.join(taken)}",
            where="entities",
            how_many=len(taken),
            fix="rename these columns of the table first",
        )


def has_values(names: Iterable[str]) -> Column:
    """Whether none of the columns is null."""
    return F.expr(" AND ".join(f"`{name}` IS NOT NULL" for name in names))
