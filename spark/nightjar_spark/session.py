"""The Spark session of all programs: Delta, UTC, Arrow.

The Airflow connection sets master, memory, JARs and partitions through ``spark-submit``.
"""

from __future__ import annotations

from pyspark.sql import SparkSession


def build_session(name: str) -> SparkSession:
    """Return the session of a program."""
    spark = (
        SparkSession.builder.appName(name)
        .config("spark.sql.extensions", "io.delta.sql.DeltaSparkSessionExtension")
        .config("spark.sql.catalog.spark_catalog", "org.apache.spark.sql.delta.catalog.DeltaCatalog")
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.sql.execution.arrow.pyspark.enabled", "true")
        .config("spark.sql.debug.maxToStringFields", "200")
        .getOrCreate()
    )
    spark.sparkContext.setLogLevel("WARN")
    return spark
