"""Spark gets the whole connection, through a private file."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from airflow.sdk import Connection

from nightjar.protocol.errors import ConfigurationError
from nightjar_airflow.hooks.spark_submit import configuration_of, master_of, private_properties

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

AWKWARD = {
    "spark.plain": "2g",
    "spark.java": "-Dx=1 -Dy=C:\\dir # no comment",
    "spark.lines": " first\nsecond\t!",
    "spark.hadoop.fs.s3a.secret.key": "a=b:c/d+é",
}


@pytest.mark.spark
def test_java_reads_every_value_as_it_was(spark: SparkSession) -> None:
    jvm = spark.sparkContext._jvm
    assert jvm is not None
    with private_properties(AWKWARD) as descriptor:
        path = f"/proc/{os.getpid()}/fd/{descriptor}"
        properties = jvm.java.util.Properties()
        properties.load(jvm.java.io.InputStreamReader(jvm.java.io.FileInputStream(path), "UTF-8"))
        read = {key: properties.getProperty(key) for key in AWKWARD}
    assert read == AWKWARD


def test_the_master_is_the_connections_and_never_another(monkeypatch: pytest.MonkeyPatch) -> None:
    assert master_of(Connection(conn_id="s", conn_type="spark", host="spark://a", port=7077)) == "spark://a:7077"
    assert master_of(Connection(conn_id="s", conn_type="spark", host="local[*]")) == "local[*]"
    with pytest.raises(ConfigurationError, match=r"connection s names no Spark master .*AIRFLOW_CONN_S"):
        master_of(Connection(conn_id="s", conn_type="spark"))
    monkeypatch.delenv("NIGHTJAR_JARS", raising=False)
    given = Connection(conn_id="s", conn_type="spark", extra='{"conf": {"spark.cores": 2}}')
    assert configuration_of(given) == {"spark.cores": "2"}
