"""The archive of Spark's classes: of one Java and one Spark, named in the connection, and really mapped by the JVM."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from tests.fake_java import fake_java

from nightjar.local import server_environment
from nightjar.local.class_archive import NIGHT_OPTIONS, archive_of
from nightjar.local.java import find_java_home
from nightjar.local.paths import Paths

PATHS = Paths.here()


def test_another_java_has_an_archive_of_its_own(tmp_path: Path) -> None:
    first, again, second = (
        archive_of(PATHS, fake_java(tmp_path / name, version))
        for name, version in (("a", "17.0.1"), ("b", "17.0.1"), ("c", "17.0.2"))
    )
    assert first == again
    assert second != first


def test_the_connection_names_the_archive_only_when_it_is_there(tmp_path: Path) -> None:
    def options() -> str:
        connection = json.loads(server_environment.spark_connection(2, tmp_path / "classes.jsa"))
        return str(connection["extra"]["conf"]["spark.driver.extraJavaOptions"])

    assert options() == NIGHT_OPTIONS
    (tmp_path / "classes.jsa").touch()
    assert options() == f"{NIGHT_OPTIONS} -XX:SharedArchiveFile={tmp_path}/classes.jsa"


@pytest.mark.spark
def test_sparks_classes_come_from_the_archive(tmp_path: Path) -> None:
    java_home = find_java_home(PATHS.packaged_java)
    assert java_home is not None
    loaded, program = tmp_path / "loaded.log", tmp_path / "nothing.py"
    program.write_text("from pyspark.sql import SparkSession\nSparkSession.builder.getOrCreate().stop()\n")
    options = f"{NIGHT_OPTIONS} -XX:SharedArchiveFile={archive_of(PATHS, java_home)} -Xlog:class+load:file={loaded}"
    submit = [PATHS.spark_home / "bin" / "spark-submit", "--master", "local[1]", "--driver-java-options", options]
    environ = {**os.environ, "JAVA_HOME": str(java_home), "SPARK_LOCAL_IP": "127.0.0.1"}
    subprocess.run([*submit, "--conf", "spark.ui.enabled=false", program], env=environ, check=True, capture_output=True)
    lines = [line for line in loaded.read_text().splitlines() if " org.apache.spark." in line and "Lambda" not in line]
    shared = [line for line in lines if "shared objects file (top)" in line]
    assert len(lines) > 1000
    assert len(shared) / len(lines) > 0.9
