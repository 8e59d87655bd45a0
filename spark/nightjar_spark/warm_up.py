"""Run typical Spark operations of a night on a thousand rows, to record the loaded classes in the class archive."""

from __future__ import annotations

import tempfile

from pyspark.sql import SparkSession, Window
from pyspark.sql import functions as F

spark = SparkSession.builder.appName("warm-up").getOrCreate()
with tempfile.TemporaryDirectory() as folder:
    rows = spark.range(1000).select("id", (F.col("id") % 7).alias("key"), F.current_timestamp().alias("at"))
    rows.write.option("header", True).csv(f"{folder}/csv")
    read = spark.read.csv(f"{folder}/csv", header=True, schema="id long, key int, at timestamp").cache()
    ranked = read.withColumn("rank", F.row_number().over(Window.partitionBy("key").orderBy("id")))
    counts = read.groupBy("key").agg(F.count("*").alias("rows"), F.collect_set("at"))
    ranked.join(F.broadcast(counts), "key", "left").write.parquet(f"{folder}/parquet")
    spark.read.parquet(f"{folder}/parquet").where("key = 1").groupBy("key").count().collect()
spark.stop()
