"""Environment variables of the local servers and of all programs that they start (docs/configuration.md)."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from nightjar.local import database
from nightjar.local.class_archive import NIGHT_OPTIONS, archive_of
from nightjar.local.java import HOW_TO_GET_IT, find_java_home
from nightjar.local.paths import Paths
from nightjar.local.ports import HOST, Ports
from nightjar.protocol.errors import ConfigurationError


def cores() -> int:
    """Return the number of cores available to this process."""
    return len(os.sched_getaffinity(0))


def git_commit(root: Path) -> str:
    """Return the checkout's commit, with ``-dirty`` when tracked files differ; ``unknown`` outside git."""

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(root), *arguments]
        done = subprocess.run(command, capture_output=True, text=True)
        return done.stdout.strip() if done.returncode == 0 else ""

    commit = git("rev-parse", "HEAD")
    return (f"{commit}-dirty" if git("status", "--porcelain", "-uno") else commit) or "unknown"


def tools(paths: Paths, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the environment for the checkout's Python, Spark and Java, with or without servers.

    Raises:
        ConfigurationError: when Java is missing.
    """
    java_home = find_java_home(paths.packaged_java, environ)
    if java_home is None:
        raise ConfigurationError("Java 17 is missing", where="JAVA_HOME", fix=HOW_TO_GET_IT)
    result = {
        **environ,
        "PATH": os.pathsep.join([str(paths.venv / "bin"), str(java_home / "bin"), environ.get("PATH", "")]),
        "JAVA_HOME": str(java_home),
        "SPARK_HOME": str(paths.spark_home),
        "SPARK_LOCAL_IP": HOST,
        "PYSPARK_PYTHON": str(paths.python),
        "NIGHTJAR_JARS": str(paths.jars),
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
    }
    result.pop("PYTHONDONTWRITEBYTECODE", None)
    return result


def spark_conf(core_count: int, class_archive: Path) -> dict[str, str]:
    """Return the options of local Spark; one partition per core keeps small reads fast."""
    shared = f" -XX:SharedArchiveFile={class_archive}" if class_archive.exists() else ""
    return {
        "spark.driver.host": HOST,
        "spark.driver.bindAddress": HOST,
        "spark.driver.memory": "2g",
        "spark.driver.extraJavaOptions": NIGHT_OPTIONS + shared,
        "spark.ui.enabled": "false",
        "spark.hadoop.fs.permissions.umask-mode": "077",  # Hadoop sets modes itself and ignores the process's umask
        "spark.sql.shuffle.partitions": str(core_count),
        "spark.databricks.delta.snapshotPartitions": str(core_count),
    }


def spark_connection(core_count: int, class_archive: Path) -> str:
    """Return the Airflow connection of local Spark as JSON."""
    conf = spark_conf(core_count, class_archive)
    return json.dumps({"conn_type": "spark", "host": "local[*]", "extra": {"conf": conf}})


def airflow(paths: Paths, ports: Ports, sockets: Path) -> dict[str, str]:
    """Return Airflow's settings for one small machine."""
    settings = {
        "CORE__DAGS_FOLDER": paths.root / "dags",
        "CORE__PLUGINS_FOLDER": paths.root / "plugins",
        "CORE__LOAD_EXAMPLES": False,
        "CORE__EXECUTOR": "LocalExecutor",
        "CORE__PARALLELISM": 4,  # number of workers forked at start
        "CORE__HOSTNAME_CALLABLE": "socket.gethostname",  # the default asks the name service and is slow without one
        "DATABASE__SQL_ALCHEMY_CONN": database.url(sockets, "airflow"),
        "API__BASE_URL": ports.airflow_url,  # when unset, tasks call port 8080 regardless of the actual port
        # Airflow's log servers would listen on all addresses; they are off, and the API server reads the files itself.
        "LOGGING__WORKER_LOG_SERVER_PORT": 0,
        "LOGGING__TRIGGER_LOG_SERVER_PORT": 0,
        "LOGGING__COLORED_CONSOLE_LOG": False,
        "DAG_PROCESSOR__REFRESH_INTERVAL": 5,
        "DAG_PROCESSOR__PARSING_PROCESSES": 1,
        "DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": 60,
        "DAG_PROCESSOR__STALE_DAG_THRESHOLD": 120,
        "SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": 0.2,
        "SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": 10,  # adopt the tasks of a killed scheduler soon
        # A task whose worker was killed is noticed within a minute. Workers send a heartbeat every 5 s, so a task
        # counts as dead only after nine missed heartbeats in a row.
        "SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": 45,
        "SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": 5,
        # The API server restarts within the heartbeat timeout; tasks keep retrying meanwhile.
        "WORKERS__EXECUTION_API_RETRIES": 20,
        "WORKERS__EXECUTION_API_RETRY_WAIT_MAX": 3,
        "USAGE_DATA_COLLECTION__ENABLED": False,
    }
    return {f"AIRFLOW__{name}": str(value) for name, value in settings.items()}


def everything(paths: Paths, ports: Ports, sockets: Path, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the complete environment of the servers and of every task.

    Args:
        paths: The checkout.
        ports: Ports of the servers.
        sockets: Folder of the database's socket.
        environ: Environment of the command.

    Raises:
        ConfigurationError: when Java is missing.
    """
    # keep out settings of the user's other Airflow, Spark or MLflow
    foreign = ("AIRFLOW_", "MLFLOW_", "SPARK_", "PYSPARK_", "PYTHONPATH")
    own = {name: value for name, value in environ.items() if not name.startswith(foreign)}
    direct = ",".join(filter(None, [environ.get("NO_PROXY") or environ.get("no_proxy"), HOST, "localhost"]))
    base = tools(paths, own)
    return {
        **base,
        **airflow(paths, ports, sockets),
        "AIRFLOW_HOME": str(paths.airflow_home),
        "AIRFLOW_CONN_SPARK_DEFAULT": spark_connection(cores(), archive_of(paths, Path(base["JAVA_HOME"]))),
        "AIRFLOW_CONN_TRAINING_DEFAULT": json.dumps({"conn_type": "local"}),
        "MLFLOW_TRACKING_URI": ports.mlflow_url,
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "NIGHTJAR_LAKE": str(paths.lake),
        "NIGHTJAR_MODEL_CACHE": str(paths.var / "models"),
        "NIGHTJAR_GIT_COMMIT": git_commit(paths.root),
        "NO_PROXY": direct,
        "no_proxy": direct,
        "OMP_NUM_THREADS": environ.get("OMP_NUM_THREADS", str(cores())),
        "TZ": "UTC",
    }
