"""The command line of ``spark-submit`` from an Airflow connection, whose configuration may hold secrets."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from nightjar.protocol.errors import ConfigurationError

if TYPE_CHECKING:
    from airflow.sdk import Connection


def master_of(connection: Connection) -> str:
    """Return the Spark master of the connection.

    Raises:
        ConfigurationError: when it names none; there is no default master.
    """
    if not connection.host:
        raise ConfigurationError(
            f"the connection {connection.conn_id} names no Spark master",
            where=f"AIRFLOW_CONN_{connection.conn_id.upper()}",
            fix='set its host, e.g. {"conn_type": "spark", "host": "local[*]"}',
        )
    return f"{connection.host}:{connection.port}" if connection.port else connection.host


def configuration_of(connection: Connection) -> dict[str, str]:
    """Return Spark's configuration: ``extra.conf`` of the connection, and the project's JARs."""
    conf = {key: str(value) for key, value in connection.extra_dejson.get("conf", {}).items()}
    jars = sorted(str(path) for path in Path(os.environ.get("NIGHTJAR_JARS", "")).glob("*.jar"))
    if jars:
        conf["spark.jars"] = ",".join(jars)
    return conf


@contextmanager
def private_properties(conf: Mapping[str, str]) -> Iterator[int]:
    """Provide the descriptor of an in-memory properties file with ``conf``, for ``spark-submit`` alone.

    Any user of the machine could read a command line, and a file could be left behind.
    """
    text = "".join(f"{_escaped(key)}={_escaped(value)}\n" for key, value in sorted(conf.items()))
    with os.fdopen(os.memfd_create("spark.properties"), "wb") as file:
        file.write(text.encode())
        file.flush()
        yield file.fileno()


def command(connection: Connection, properties: int, program: Path, arguments: Sequence[str]) -> list[str]:
    """Return the command line, without any value of the configuration.

    Args:
        connection: The Spark connection.
        properties: Descriptor of the properties file, which the process must inherit.
        program: Python program.
        arguments: Arguments of the program.
    """
    home = os.environ.get("SPARK_HOME")
    submit = shutil.which("spark-submit", path=f"{home}/bin" if home else None)
    if submit is None:
        raise ConfigurationError(
            "spark-submit is missing", where="SPARK_HOME", fix="run `make setup`, or set SPARK_HOME"
        )
    mode = connection.extra_dejson.get("deploy_mode", "client")
    where = ["--master", master_of(connection), "--deploy-mode", mode, "--name", "nightjar"]
    # With a properties file, Spark reads spark-defaults.conf only when asked to.
    return [
        submit,
        *where,
        "--properties-file",
        f"/proc/self/fd/{properties}",
        "--load-spark-defaults",
        str(program),
        *arguments,
    ]


def _escaped(text: str) -> str:
    """Return ``text`` escaped for a Java properties file."""
    plain = text.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r").replace("\t", "\\t")
    return "".join(f"\\{character}" if character in "=:#! " else character for character in plain)
