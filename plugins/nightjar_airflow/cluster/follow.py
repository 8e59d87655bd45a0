"""Follow the log of a pod to its end, over broken connections, without losing or repeating a line."""

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
"""Asked for again after a break: the node's clock may differ from ours; lines that were seen are left out."""


async def follow(
    cluster: TrainingClusterHook, pod: str, on_line: Callable[[str], None], is_over: Callable[[], bool]
) -> None:
    """Pass on each line of ``pod``'s log once, until the log ends and the pod is over."""
    last, heard = "", None
    while True:
        over = is_over()
        since = None if heard is None else math.ceil(time.monotonic() - heard) + OVERLAP_SECONDS
        try:
            async with aclosing(cluster.follow(pod, since)) as lines:
                async for line in lines:
                    moment, _, text = line.decode(errors="replace").partition(" ")
                    if moment > last:
                        last, heard = moment, time.monotonic()
                        on_line(text)
        except ApiError as error:
            if error.status == 404:
                return
            over = over and not error.passing
        if over:
            return
        await asyncio.sleep(PAUSE_SECONDS)
