"""Predicates that treat ANSI errors as broken: a division by zero, an invalid date."""

from __future__ import annotations

from pyspark.sql import Column, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.classic.column import Column as ClassicColumn

_RESULT = "result"


def holds_or_fails(predicate: Column, given: Column) -> Column:
    """Return whether ``predicate`` is true or fails on a row; null where it is null.

    Catalyst's ``TryEval``, on which ``try_divide`` and ``try_cast`` are based, is null where its child fails. The child
    prevents the optimizer from moving parts of the predicate out of ``TryEval``: it is a struct, which is never null
    itself, of a ``CASE`` branch, which Spark does not evaluate before the condition.

    Args:
        predicate: A Boolean column.
        given: A condition that is true for every row but that Spark cannot simplify.
    """
    catalyst = SparkSession.active()._jvm.org.apache.spark.sql  # type: ignore[union-attr]
    expression = catalyst.classic.ExpressionUtils.expression(F.struct(F.when(given, predicate).alias(_RESULT))._jc)
    attempt = catalyst.classic.ExpressionUtils.column(catalyst.catalyst.expressions.TryEval(expression))
    return F.coalesce(ClassicColumn(attempt), F.struct(F.lit(True).alias(_RESULT)))[_RESULT]
