"""What notifications remember in the lake: which ones people have had."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, TypeVar

from nightjar.lake import files
from nightjar.protocol.documents import parse_json, reading
from nightjar.protocol.errors import ConfigurationError

log = logging.getLogger(__name__)
T = TypeVar("T")


def read_state(uri: str, make: Callable[[Any], T]) -> T | None:
    """Return what ``make`` makes of the JSON in a file; None when there is none, or none that can be read.

    People are then notified once more: a file that is cut must silence nothing.
    """
    try:
        with reading("what people were notified of", where=uri, fix="nothing; they are notified once more"):
            return make(parse_json(files.read_bytes(uri)))
    except FileNotFoundError:
        return None
    except ConfigurationError as error:
        log.warning("%s", error)
        return None
