"""Reports and Data Docs of the lake, served by the Airflow server to logged-in users."""

from __future__ import annotations

import mimetypes
from pathlib import PurePosixPath
from typing import Annotated

from airflow.api_fastapi.auth.managers.models.base_user import BaseUser
from airflow.api_fastapi.core_api.security import get_user
from fastapi import Depends, FastAPI, HTTPException, Response

from nightjar.lake.inside import read_inside
from nightjar.settings.environment import Settings

SHOWN = ("reports", "data_docs")
"""Folders of the lake that are served; all others are rejected."""

app = FastAPI(title="Nightjar files", docs_url=None, redoc_url=None, openapi_url=None)

_CONTENT_SECURITY_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline' 'self'; script-src 'unsafe-inline' 'self'; img-src data: 'self'; "
    "font-src data: 'self'; frame-ancestors 'self'; base-uri 'none'; form-action 'none'"
)


@app.get("/{path:path}")
def show(path: str, user: Annotated[BaseUser, Depends(get_user)]) -> Response:
    """Serve one file of these folders; Airflow's own dependency rejects anonymous requests."""
    parts = PurePosixPath(path).parts
    if not parts or parts[0] not in SHOWN or any(part in {"..", "."} or set(part) & {"\\", "\0"} for part in parts):
        raise HTTPException(404, "page not found")
    try:
        data = read_inside(f"{Settings.from_environment().lake}/{parts[0]}", "/".join(parts[1:]))
    except FileNotFoundError as error:
        raise HTTPException(404, "page not found") from error
    kind = mimetypes.guess_type(parts[-1])[0] or "application/octet-stream"
    return Response(
        data,
        media_type=kind,
        headers={
            "Content-Security-Policy": _CONTENT_SECURITY_POLICY,
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
            "Cache-Control": "private, no-cache",
        },
    )
