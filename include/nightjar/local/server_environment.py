"""The environment variables of the local servers and of all programs below them (docs/configuration.md)."""

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
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0))


def git_commit(root: Path) -> str:
    """The checkout's commit, with ``-dirty`` when tracked files differ from it; ``unknown`` outside git."""

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(root), *arguments]
        done = subprocess.run(command, capture_output=True, text=True)
        return done.stdout.strip() if done.returncode == 0 else ""

    commit = git("rev-parse", "HEAD")
    return (f"{commit}-dirty" if git("status", "--porcelain", "-uno") else commit) or "unknown"


def tools(paths: Paths, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The environment in which Python, Spark and Java of the checkout are found, servers or not.

    Raises:
        ConfigurationError: when there is no Java.
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


def spark_connection(core_count: int, class_archive: Path) -> str:
    """The Airflow connection of Spark on this machine, as JSON: partitions as many as cores, or small reads crawl."""
    shared = f" -XX:SharedArchiveFile={class_archive}" if class_archive.exists() else ""
    conf = {
        "spark.driver.host": HOST,
        "spark.driver.bindAddress": HOST,
        "spark.driver.memory": "2g",
        "spark.driver.extraJavaOptions": NIGHT_OPTIONS + shared,
        "spark.ui.enabled": "false",
        "spark.hadoop.fs.permissions.umask-mode": "077",  # Hadoop sets modes itself, whatever the process's umask
        "spark.sql.shuffle.partitions": str(core_count),
        "spark.databricks.delta.snapshotPartitions": str(core_count),
    }
    return json.dumps({"conn_type": "spark", "host": "local[*]", "extra": {"conf": conf}})


def airflow(paths: Paths, ports: Ports, sockets: Path) -> dict[str, str]:
    """Airflow's settings for one small machine."""
    settings = {
        "CORE__DAGS_FOLDER": paths.root / "dags",
        "CORE__PLUGINS_FOLDER": paths.root / "plugins",
        "CORE__LOAD_EXAMPLES": False,
        "CORE__EXECUTOR": "LocalExecutor",
        "CORE__PARALLELISM": 4,  # so many workers are forked at the start
        "CORE__HOSTNAME_CALLABLE": "socket.gethostname",  # the default asks the name service, slow without one
        "DATABASE__SQL_ALCHEMY_CONN": database.url(sockets, "airflow"),
        "API__BASE_URL": ports.airflow_url,  # unset, tasks call port 8080 whatever the port
        # Airflow's log servers would listen on all addresses. They do not run: the API server reads the files itself.
        "LOGGING__WORKER_LOG_SERVER_PORT": 0,
        "LOGGING__TRIGGER_LOG_SERVER_PORT": 0,
        "LOGGING__COLORED_CONSOLE_LOG": False,
        "DAG_PROCESSOR__REFRESH_INTERVAL": 5,
        "DAG_PROCESSOR__PARSING_PROCESSES": 1,
        "DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": 60,
        "DAG_PROCESSOR__STALE_DAG_THRESHOLD": 120,
        "SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": 0.2,
        "SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": 10,  # tasks of a killed scheduler are taken up soon
        # A task whose worker was killed is noticed within a minute. Workers send a heartbeat every 5 s, so a task of a
        # live worker is taken for dead only after nine in a row are missing.
        "SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": 45,
        "SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": 5,
        # A restart of the API server takes less than the heartbeat timeout; tasks go on asking meanwhile.
        "WORKERS__EXECUTION_API_RETRIES": 20,
        "WORKERS__EXECUTION_API_RETRY_WAIT_MAX": 3,
        "USAGE_DATA_COLLECTION__ENABLED": False,
    }
    return {f"AIRFLOW__{name}": str(value) for name, value in settings.items()}


def everything(paths: Paths, ports: Ports, sockets: Path, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The whole environment of the servers and of every task.

    Args:
        paths: The checkout.
        ports: Where the servers are.
        sockets: Folder of the database's socket.
        environ: The environment of the command.

    Raises:
        ConfigurationError: when there is no Java.
    """
    # Settings of another Airflow, Spark or MLflow of the person must not leak into this one.
    foreign = ("AIRFLOW_", "MLFLOW_", "SPARK_", "PYSPARK_", "PYTHONPATH")
    own = {name: value for name, value in environ.items() if not name.startswith(foreign)}
    direct = ",".join(filter(None, [environ.get("NO_PROXY") or environ.get("no_proxy"), HOST, "localhost"]))
    found = tools(paths, own)
    return {
        **found,
        **airflow(paths, ports, sockets),
        "AIRFLOW_HOME": str(paths.airflow_home),
        "AIRFLOW_CONN_SPARK_DEFAULT": spark_connection(cores(), archive_of(paths, Path(found["JAVA_HOME"]))),
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
