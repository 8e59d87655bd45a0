"""The Spark session, wherever it runs: Delta, UTC, Arrow.

Master, memory, JARs and the number of partitions come from ``spark-submit``: from the Airflow connection.
"""

from __future__ import annotations

from pyspark.sql import SparkSession


def build_session(name: str) -> SparkSession:
    """Return the session that every program runs in."""
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
