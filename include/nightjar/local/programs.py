"""Commands that start the local servers.

Airflow's API server and MLflow get a listening socket as standard input (:func:`nightjar.local.ports.listen`).
"""

from __future__ import annotations

from nightjar.local.paths import Paths
from nightjar.local.ports import HOST


def airflow_commands(paths: Paths) -> dict[str, list[str]]:
    """Return the commands of Airflow's servers by name; only the API server gets a listening socket."""
    program = str(paths.venv / "bin" / "airflow")
    return {
        API_SERVER: [
            *(str(paths.python), "-m", "uvicorn", "airflow.api_fastapi.main:app", "--fd", "0", "--workers", "1"),
            *("--no-access-log", "--no-proxy-headers", "--timeout-keep-alive", "120"),
        ],
        "scheduler": [program, "scheduler", "--skip-serve-logs"],
        "dag-processor": [program, "dag-processor"],
        "triggerer": [program, "triggerer", "--skip-serve-logs"],
    }


API_SERVER = "api-server"


def migrate_command(paths: Paths) -> list[str]:
    """Return the command that creates or migrates Airflow's tables."""
    return [str(paths.venv / "bin" / "airflow"), "db", "migrate"]


def mlflow_command(paths: Paths, store: str) -> list[str]:
    """Return the command of the MLflow server.

    Args:
        paths: The checkout.
        store: SQLAlchemy address of its database.
    """
    return [
        *(str(paths.python), "-m", "mlflow", "server", "--workers", "1"),
        *("--host", HOST, "--allowed-hosts", f"{HOST}:*,localhost:*", "--uvicorn-opts", "--fd 0"),
        *("--backend-store-uri", store),
        *("--artifacts-destination", str(paths.mlflow_home / "artifacts")),
    ]
