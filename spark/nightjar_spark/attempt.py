"""Predicates on values that Spark cannot compute them on (ANSI mode): a division by zero, a day of no calendar."""

from __future__ import annotations

from pyspark.sql import Column, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.classic.column import Column as ClassicColumn

_RESULT = "result"


def holds_or_fails(predicate: Column, given: Column) -> Column:
    """Whether ``predicate`` is true, or raises an error, on a row; null where it is null.

    Catalyst's ``TryEval``, of which ``try_divide`` and ``try_cast`` are made, is null where its child fails. The child
    keeps the optimizer from moving parts of the predicate out of the attempt: a struct, which is never null by itself,
    of a branch of a ``CASE``, which Spark may not compute before it knows the condition.

    Args:
        predicate: A Boolean column.
        given: A condition that every row meets and that Spark does not know to be true.
    """
    catalyst = SparkSession.active()._jvm.org.apache.spark.sql  # type: ignore[union-attr]
    expression = catalyst.classic.ExpressionUtils.expression(F.struct(F.when(given, predicate).alias(_RESULT))._jc)
    attempt = catalyst.classic.ExpressionUtils.column(catalyst.catalyst.expressions.TryEval(expression))
    return F.coalesce(ClassicColumn(attempt), F.struct(F.lit(True).alias(_RESULT)))[_RESULT]
