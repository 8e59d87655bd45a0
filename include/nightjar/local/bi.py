"""``make bi``: the lake's tables for JDBC and ODBC clients, through Spark's Thrift server."""

from __future__ import annotations

import contextlib
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nightjar.local import server_environment
from nightjar.local.follow import POLL_SECONDS
from nightjar.local.lake_tables import find_tables
from nightjar.local.paths import Paths
from nightjar.local.ports import HOST
from nightjar.local.progress import Progress
from nightjar.local.servers import START_SECONDS, Server
from nightjar.protocol.errors import UnreachableError

USER = "analyst"
READY = "nightjar SQL is ready on port "


def serve(paths: Paths) -> None:
    """Serve until Ctrl-C.

    Raises:
        ConfigurationError: when the lake has no table yet.
        UnreachableError: when the server does not start, or stops unexpectedly.
    """
    with Progress() as progress, sql_server(paths, progress) as (port, server):
        progress.say(_message(port, password(paths)))
        with contextlib.suppress(KeyboardInterrupt):
            while server.is_up:
                time.sleep(POLL_SECONDS)
            raise _ended(server, progress)


@contextmanager
def sql_server(paths: Paths, progress: Progress) -> Iterator[tuple[int, Server]]:
    """Run a Thrift server on a free port of the loopback address while the context is open."""
    find_tables(paths.lake)
    password(paths)
    _classes(paths).mkdir(parents=True, exist_ok=True)
    environ = server_environment.tools(paths)
    server = Server("the SQL server", _command(paths), environ, paths.logs / "bi.log")
    try:
        while READY not in (output := server.last_lines(200)):
            if not server.is_up or progress.seconds > START_SECONDS:
                raise _ended(server, progress)
            progress.now("starting Spark's Thrift server")
            time.sleep(POLL_SECONDS)
        yield int(output.split(READY)[1].split()[0]), server
    finally:
        server.ask_to_stop()
        server.wait_stopped()


def password(paths: Paths) -> str:
    """Return the analysts' password; create it at the first call, readable by its owner only."""
    file = _login(paths)
    file.parent.mkdir(parents=True, exist_ok=True)
    if not file.exists():
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as stream:
            stream.write(f"{USER}:{secrets.token_urlsafe(12)}")
    return file.read_text().removeprefix(f"{USER}:")


def _login(paths: Paths) -> Path:
    return paths.var / "bi" / "login"


def _classes(paths: Paths) -> Path:
    return paths.var / "bi" / "classes"


def _command(paths: Paths) -> list[str]:
    class_path = os.pathsep.join([str(_classes(paths)), *sorted(str(path) for path in paths.jars.glob("*.jar"))])
    cores = str(server_environment.cores())
    conf = {
        "spark.ui.enabled": "false",
        "spark.driver.bindAddress": HOST,
        "spark.driver.host": HOST,
        "spark.sql.shuffle.partitions": cores,
        "spark.databricks.delta.snapshotPartitions": cores,
        # The catalog lives in memory with the server; the lake's folders define the tables.
        "spark.sql.catalogImplementation": "in-memory",
        "spark.sql.warehouse.dir": str(paths.var / "bi" / "warehouse"),
        # The server returns dates as java.time, which Delta 4.4.0 does not support when it answers from statistics
        # alone: max(ds) fails with a ClassCastException.
        "spark.databricks.delta.optimizeMetadataQuery.enabled": "false",
        # Return one partition at a time, so that a client that reads a whole table does not fill the driver.
        "spark.sql.thriftServer.incrementalCollect": "true",
    }
    return [
        *(str(paths.spark_home / "bin" / "spark-submit"), "--master", "local[*]", "--driver-memory", "2g"),
        # not --jars: threads of the Thrift server would not find these classes
        *("--driver-class-path", class_path),
        *(part for key, value in conf.items() for part in ("--conf", f"{key}={value}")),
        *(str(paths.root / "spark" / "nightjar_spark" / "serve_sql.py"), "--lake", str(paths.lake)),
        *("--login", str(_login(paths)), "--classes", str(_classes(paths))),
    ]


def _message(port: int, secret: str) -> str:
    return "\n".join(
        [
            "",
            f"JDBC     jdbc:hive2://{HOST}:{port}   user {USER}, password {secret}",
            "Tables   scores.*, scores.*_latest, features.*, labels.*, raw.*, quarantine.*, monitoring.*, ledger.*",
            "Try      SELECT carrier, avg(prediction) FROM scores.flight_delay GROUP BY carrier",
            "Meaning  docs/data_dictionary.md; how to connect: docs/bi.md",
            "Ctrl-C ends it.",
        ]
    )


def _ended(server: Server, progress: Progress) -> UnreachableError:
    progress.say(server.last_lines())
    return UnreachableError(
        "the SQL server is not up", where=str(server.log), fix="read the lines above, then start again"
    )
