"""Spark's Thrift server over a lake in a folder, started by `make bi` for JDBC and ODBC clients.

``spark-submit serve_sql.py --lake <folder> --login <file> --classes <folder>``. Each Delta table is a view; new
nights are visible immediately, new tables and columns within seconds. Access needs the login and is read-only.
"""

from __future__ import annotations

import argparse
import logging
import re
import sys
import time
from pathlib import Path
from typing import Any

from pyspark.sql import SparkSession

from nightjar.declaration.sql import quote_spark
from nightjar.lake.lake import Lake
from nightjar.local.bi import READY
from nightjar.local.lake_tables import LakeTable, LeftOut, find_tables, find_views
from nightjar.local.ports import HOST, listen, port_of
from nightjar.logs import TIMED, log_to_stdout
from nightjar.protocol.errors import LakeError
from nightjar_spark.jvm_classes import compile_into
from nightjar_spark.session import build_session

log = logging.getLogger(__name__)
EVERY_SECONDS = 5.0
USUAL_PORT = 10000


class Catalog:
    """The views of a lake in Spark's catalog. Tables that cannot be views are logged, once for each reason."""

    def __init__(self, spark: SparkSession, lake: Path) -> None:
        self._spark, self._lake = spark, lake
        self._made: dict[str, tuple[str, str]] = {}
        self._schemas: set[str] = set()
        self._left_out: frozenset[LeftOut] = frozenset()

    def refresh(self) -> None:
        """Create views of new tables and of tables with changed columns; drop views of removed tables.

        Raises:
            ConfigurationError: when the lake has no table.
        """
        tables, left_out = find_tables(self._lake)
        offered = []
        for table in tables:
            try:
                self._offer_table(table)
            except Exception as error:  # other programs may have written anything into a table
                left_out.append(LeftOut.because(table.path, error))
            else:
                offered.append(table)
        views, no_views = find_views(offered)
        names = {_key(table.schema, table.name) for table in tables} | {_key(view.schema, view.name) for view in views}
        for view in views:
            try:
                _, columns = self._made[_key(view.schema, view.table)]
                self._offer((view.schema, view.name), view.comment, view.sql(quote_spark), columns)
            except Exception as error:
                no_views.append(LeftOut.because(f"{view.schema}/{view.name}", error))
        for name in self._made.keys() - names:
            self._spark.sql(f"DROP VIEW IF EXISTS {name}")
            del self._made[name]
        self._report(frozenset([*left_out, *no_views]))

    def _offer_table(self, table: LakeTable) -> None:
        opened = Lake(str(self._lake)).open_table(table.path)
        query = f"SELECT * FROM delta.{quote_spark(str(table.folder))}"  # noqa: S608 - the name is quoted
        self._offer((table.schema, table.name), opened.metadata().description or "", query, opened.schema().to_json())

    def _offer(self, name: tuple[str, str], comment: str, query: str, columns: str) -> None:
        """Create the view, unless it exists with these columns."""
        key = _key(*name)
        if self._made.get(key) == (query, columns):
            return
        if not all(re.fullmatch(r"\w+", part, re.ASCII) for part in name):
            raise LakeError(
                "Spark accepts only letters, digits and _ in a name",
                where="/".join(name),
                fix="read it with `make query`, or rename its folder",
            )
        text = comment.replace("\\", "\\\\").replace("'", "\\'")
        if name[0].lower() not in self._schemas:
            self._spark.sql(f"CREATE DATABASE IF NOT EXISTS {quote_spark(name[0])}")
            self._schemas.add(name[0].lower())
        self._spark.sql(f"CREATE OR REPLACE VIEW {quote_spark(*name)} COMMENT '{text}' AS {query}")
        self._made[key] = query, columns
        log.info("view %s.%s", *name)

    def _report(self, left_out: frozenset[LeftOut]) -> None:
        for reason in sorted(left_out - self._left_out, key=str):
            log.warning("%s", reason)
        self._left_out = left_out


def _key(schema: str, name: str) -> str:
    """Return the name in the form in which Spark compares names."""
    return quote_spark(schema.lower(), name.lower())


def _start(spark: SparkSession, login: Path, classes: Path) -> int:
    """Start the read-only Thrift server with the login; return its port."""
    jvm: Any = spark._jvm
    compile_into(jvm, classes)
    scratch = login.parent / "scratch"
    with listen(USUAL_PORT) as listener:  # released here: the Java server opens the port itself
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
    # These rules apply to sessions created later, those of clients; this session must still create views.
    extensions = spark._jsparkSession.extensions()
    extensions.injectCheckRule(jvm.nightjar.ReadOnly())
    extensions.injectPostHocResolutionRule(jvm.nightjar.NameFirst())
    server = jvm.org.apache.spark.sql.hive.thriftserver.HiveThriftServer2
    server.startWithContext(spark._jsparkSession.sqlContext())
    return port


def main(arguments: list[str]) -> None:
    """Serve until the process is terminated."""
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
            log.exception("the views could not be refreshed; retrying")


if __name__ == "__main__":
    main(sys.argv[1:])
