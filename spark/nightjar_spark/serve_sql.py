"""Spark's Thrift server over a lake in a folder: what `make bi` starts, for clients of JDBC and ODBC.

``spark-submit serve_sql.py --lake <folder>``. Each Delta table is a view, so that a client can neither insert into it
nor drop its rows; new nights are there at once, new tables and columns within some seconds.
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
from pathlib import Path

from deltalake import DeltaTable
from pyspark.sql import SparkSession

from nightjar.local.bi import READY
from nightjar.local.query import delta_tables, views
from nightjar_spark.session import build_session

log = logging.getLogger(__name__)
EVERY_SECONDS = 5.0


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


def main(arguments: list[str]) -> None:
    """Serve until the process is ended."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lake", required=True, type=Path, help="the lake's root")
    lake = parser.parse_args(arguments).lake
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stdout)
    logging.getLogger("py4j").setLevel(logging.WARNING)
    spark = build_session("nightjar SQL")
    catalog = Catalog(spark, lake)
    catalog.refresh()
    server = spark._jvm.org.apache.spark.sql.hive.thriftserver.HiveThriftServer2  # type: ignore[union-attr]
    server.startWithContext(spark._jsparkSession.sqlContext())
    log.info(READY)
    while True:
        time.sleep(EVERY_SECONDS)
        try:
            catalog.refresh()
        except Exception:
            log.exception("the views could not be refreshed; trying again")


if __name__ == "__main__":
    main(sys.argv[1:])
