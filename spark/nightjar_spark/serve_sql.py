"""Spark's Thrift server over a lake in a folder: what `make bi` starts, for clients of JDBC and ODBC.

``spark-submit serve_sql.py --lake <folder> --login <file> --classes <folder>``. Each Delta table is a view; new nights
are there at once, new tables and columns within some seconds. Who knows the login may read; nobody may write.
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
from pathlib import Path
from typing import Any

from deltalake import DeltaTable
from pyspark.sql import SparkSession

from nightjar.local.bi import READY
from nightjar.local.ports import HOST, listen, port_of
from nightjar.local.query import delta_tables, views
from nightjar.logs import TIMED, log_to_stdout
from nightjar_spark.jvm_classes import compile_into
from nightjar_spark.session import build_session

log = logging.getLogger(__name__)
EVERY_SECONDS = 5.0
USUAL_PORT = 10000


class Catalog:
    """The views of a lake, in Spark's own catalog."""

    def __init__(self, spark: SparkSession, lake: Path) -> None:
        self._spark, self._lake = spark, lake
        self._known: dict[str, str] = {}

    def refresh(self) -> None:
        """Make the views of tables that are new or have other columns than before."""
        found = delta_tables(self._lake)
        for name, folder in found.items():
            table = DeltaTable(str(folder))
            schema = table.schema().to_json()
            if self._known.get(name) != schema:
                self._spark.sql(f"CREATE DATABASE IF NOT EXISTS {name.split('.')[0]}")
                self._create(name, table.metadata().description or "", f"SELECT * FROM delta.`{folder}`")  # noqa: S608
                self._known[name] = schema
        for view in views(found):
            schema = self._known[view.name.removesuffix("_latest")]
            if self._known.get(view.name) != schema:
                self._create(view.name, view.comment, view.sql)
                self._known[view.name] = schema

    def _create(self, name: str, comment: str, query: str) -> None:
        text = comment.replace("\\", "\\\\").replace("'", "\\'")
        self._spark.sql(f"CREATE OR REPLACE VIEW {name} COMMENT '{text}' AS {query}")
        log.info("view %s", name)


def _start(spark: SparkSession, login: Path, classes: Path) -> int:
    """Start the Thrift server, whose sessions need the login and only read; return its port."""
    jvm: Any = spark._jvm
    compile_into(jvm, classes)
    scratch = login.parent / "scratch"
    with listen(USUAL_PORT) as listener:  # given back here: Java's server opens the port itself
        port = port_of(listener)
    for name, value in {
        "derby.stream.error.file": str(scratch / "derby.log"),
        "hive.downloaded.resources.dir": f"{scratch}/${{hive.session.id}}_resources",
        "hive.exec.local.scratchdir": str(scratch),
        "hive.exec.scratchdir": str(scratch),
        "nightjar.bi.login": str(login),
        "hive.server2.thrift.bind.host": HOST,
        "hive.server2.thrift.port": str(port),
        "hive.server2.authentication": "CUSTOM",
        "hive.server2.custom.authentication.class": "nightjar.Login",
    }.items():
        jvm.java.lang.System.setProperty(name, value)
    # This very session has its rules already and goes on making views; those of clients come later, and get this one.
    spark._jsparkSession.extensions().injectCheckRule(jvm.nightjar.ReadOnly())
    server = jvm.org.apache.spark.sql.hive.thriftserver.HiveThriftServer2
    server.startWithContext(spark._jsparkSession.sqlContext())
    return port


def main(arguments: list[str]) -> None:
    """Serve until the process is ended."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lake", required=True, type=Path, help="the lake's root")
    parser.add_argument("--login", required=True, type=Path, help="file that holds <user>:<password>")
    parser.add_argument("--classes", required=True, type=Path, help="folder on the driver's class path")
    given = parser.parse_args(arguments)
    log_to_stdout(TIMED)
    logging.getLogger("py4j").setLevel(logging.WARNING)
    spark = build_session("nightjar SQL")
    catalog = Catalog(spark, given.lake)
    catalog.refresh()
    log.info("%s%d", READY, _start(spark, given.login, given.classes))
    while True:
        time.sleep(EVERY_SECONDS)
        try:
            catalog.refresh()
        except Exception:
            log.exception("the views could not be refreshed; trying again")


if __name__ == "__main__":
    main(sys.argv[1:])
