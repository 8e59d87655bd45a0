"""State of the notifiers in the lake: which notifications were sent."""

from __future__ import annotations

import logging
from typing import TypeVar

from nightjar.lake import files
from nightjar.protocol.documents import load_json, reading
from nightjar.protocol.errors import ConfigurationError

log = logging.getLogger(__name__)
T = TypeVar("T")


def read_state(uri: str, cls: type[T]) -> T | None:
    """Return the state ``cls`` from a JSON file; None when the file is missing or invalid.

    The notification is then sent once more: a truncated file must not suppress alerts.
    """
    try:
        with reading("the notifications sent", where=uri, fix="nothing; they are sent once more"):
            return load_json(cls, files.read_bytes(uri))
    except FileNotFoundError:
        return None
    except ConfigurationError as error:
        log.warning("%s", error)
        return None
