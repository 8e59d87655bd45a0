"""The commands that start the servers of this machine.

Airflow's API server and MLflow take a listening socket as their standard input (:func:`nightjar.local.ports.listen`).
"""

from __future__ import annotations

from nightjar.local.paths import Paths
from nightjar.local.ports import HOST


def airflow_commands(paths: Paths) -> dict[str, list[str]]:
    """Airflow's servers by name; the API server is the one that takes a listening socket."""
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
    """Make Airflow's tables, or bring them to the installed version."""
    return [str(paths.venv / "bin" / "airflow"), "db", "migrate"]


def mlflow_command(paths: Paths, store: str) -> list[str]:
    """MLflow's server.

    Args:
        paths: The checkout.
        store: SQLAlchemy's address of its database.
    """
    return [
        *(str(paths.python), "-m", "mlflow", "server", "--workers", "1"),
        *("--host", HOST, "--allowed-hosts", f"{HOST}:*,localhost:*", "--uvicorn-opts", "--fd 0"),
        *("--backend-store-uri", store),
        *("--artifacts-destination", str(paths.mlflow_home / "artifacts")),
    ]
