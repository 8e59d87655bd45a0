"""Spark programs: each reads, transforms and writes, as ``run(spark, spec) -> JobResult`` plus a small ``main``."""
