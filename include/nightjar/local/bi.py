"""``make bi``: the lake's tables for clients of JDBC and ODBC, through Spark's Thrift server."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

from nightjar.contracts.errors import ConfigurationError, UnreachableError
from nightjar.local import server_environment
from nightjar.local.follow import POLL_SECONDS
from nightjar.local.paths import Paths
from nightjar.local.ports import HOST, free_port
from nightjar.local.progress import Progress
from nightjar.local.query import delta_tables
from nightjar.local.servers import START_SECONDS, Server

USUAL_PORT = 10000
READY = "nightjar SQL is ready"


def serve(paths: Paths) -> None:
    """Serve until Ctrl-C.

    Raises:
        ConfigurationError: when the lake has no table yet.
        UnreachableError: when the server does not start, or ends by itself.
    """
    with Progress() as progress, sql_server(paths, progress) as (port, server):
        progress.say(_message(port))
        with contextlib.suppress(KeyboardInterrupt):
            while server.is_up:
                time.sleep(POLL_SECONDS)
            raise _ended(server)


@contextmanager
def sql_server(paths: Paths, progress: Progress) -> Iterator[tuple[int, Server]]:
    """A Thrift server on a free port of the loopback address, for as long as the context lasts."""
    if not delta_tables(paths.lake):
        raise ConfigurationError("the lake has no table yet", where=str(paths.lake), fix="fill it with `make run`")
    port = free_port(USUAL_PORT)
    with open(os.devnull, "rb") as nothing:
        command = _command(paths, port)
        environ = server_environment.tools(paths)
        server = Server("the SQL server", command, environ, paths.logs / "bi.log", nothing.fileno())
    try:
        while READY not in server.last_lines(200):
            if not server.is_up or progress.seconds > START_SECONDS:
                raise _ended(server)
            progress.now("starting Spark's Thrift server")
            time.sleep(POLL_SECONDS)
        yield port, server
    finally:
        server.ask_to_stop()
        server.wait_stopped()


def _command(paths: Paths, port: int) -> list[str]:
    jars = os.pathsep.join(sorted(str(path) for path in paths.jars.glob("*.jar")))
    cores = str(server_environment.cores())
    conf = {
        "spark.ui.enabled": "false",
        "spark.driver.bindAddress": HOST,
        "spark.driver.host": HOST,
        "spark.sql.shuffle.partitions": cores,
        "spark.databricks.delta.snapshotPartitions": cores,
        # The catalog lives as long as the server: the lake's folders say what there is.
        "spark.sql.catalogImplementation": "in-memory",
        "spark.sql.warehouse.dir": str(paths.var / "bi-warehouse"),
        "spark.hadoop.hive.server2.thrift.port": str(port),
        "spark.hadoop.hive.server2.thrift.bind.host": HOST,
    }
    return [
        *(str(paths.spark_home / "bin" / "spark-submit"), "--master", "local[*]", "--driver-memory", "2g"),
        # not --jars: threads of the Thrift server would not find these classes
        *("--driver-class-path", jars),
        *(part for key, value in conf.items() for part in ("--conf", f"{key}={value}")),
        *(str(paths.root / "spark" / "nightjar_spark" / "serve_sql.py"), "--lake", str(paths.lake)),
    ]


def _message(port: int) -> str:
    return "\n".join(
        [
            "",
            f"JDBC     jdbc:hive2://{HOST}:{port}   any user, no password; this machine alone can connect",
            "Tables   scores.*, scores.*_latest, features.*, labels.*, raw.*, quarantine.*, monitoring.*, ledger.*",
            "Try      SELECT carrier, avg(prediction) FROM scores.flight_delay GROUP BY carrier",
            "Means    docs/data_dictionary.md; how to connect: docs/bi.md",
            "Ctrl-C ends it.",
        ]
    )


def _ended(server: Server) -> UnreachableError:
    return UnreachableError(
        f"the SQL server is not up: {server.last_lines(1)}", where=str(server.log), fix="read the log, then start again"
    )
