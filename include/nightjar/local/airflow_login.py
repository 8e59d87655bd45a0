"""The administrator's login for the local Airflow."""

from __future__ import annotations

import json
import os
import secrets
from pathlib import Path

from nightjar.protocol.documents import parse_object, reading

USER = "admin"
PASSWORDS_FILE = "simple_auth_manager_passwords.json.generated"


def admin_password(airflow_home: Path) -> str:
    """Return the administrator's password; create it at the first call, readable by its owner only.

    It is created before Airflow starts, because Airflow logs the passwords that it generates itself.
    """
    file = airflow_home / PASSWORDS_FILE
    airflow_home.mkdir(parents=True, exist_ok=True)
    if not file.exists():
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as stream:
            json.dump({USER: secrets.token_urlsafe(12)}, stream)
    fix = "delete the file and start again with `make run`, which makes a new password"
    with reading("the file of Airflow's passwords", where=str(file), fix=fix):
        password = parse_object(file.read_bytes())[USER]
        if not isinstance(password, str):
            raise TypeError(f"the password of {USER} is not a text")
    return password
