"""Follow a pod's log to its end, across broken connections, without losing or repeating a line."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from contextlib import aclosing

from nightjar_airflow.cluster.api_error import ApiError
from nightjar_airflow.hooks.training_cluster import TrainingClusterHook

PAUSE_SECONDS = 1.0
OVERLAP_SECONDS = 60
"""Overlap requested after a break, as the node's clock may differ from ours; lines seen before are skipped."""


async def follow(
    cluster: TrainingClusterHook, pod: str, on_line: Callable[[str], None], is_over: Callable[[], bool]
) -> None:
    """Pass on each line of the log of ``pod`` once, until the log and the pod have ended."""
    last, last_line_at = "", None
    while True:
        over = is_over()
        since = None if last_line_at is None else math.ceil(time.monotonic() - last_line_at) + OVERLAP_SECONDS
        try:
            async with aclosing(cluster.follow(pod, since)) as lines:
                async for line in lines:
                    moment, _, text = line.decode(errors="replace").partition(" ")
                    if moment > last:
                        last, last_line_at = moment, time.monotonic()
                        on_line(text)
        except ApiError as error:
            if error.status == 404:
                return
            over = over and not error.passing
        if over:
            return
        await asyncio.sleep(PAUSE_SECONDS)
