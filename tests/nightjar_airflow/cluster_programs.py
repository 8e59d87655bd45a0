"""Programs that tests put into the image of a training, and the event with which its trigger fires."""

from __future__ import annotations

from typing import Any

from nightjar_airflow.triggers.training_job import TrainingJobTrigger

SUCCEEDS = """
print(f"rank {rank} of {os.environ['WORLD_SIZE']} at {os.environ['MASTER_ADDR']}", flush=True)
if rank == 0:
    finish(metrics={"validation_auc": 0.75})
"""
WAITS = """
print("rank", rank, "waits", flush=True)
until("go")
if rank == 0:
    finish()
"""
FAILS_WHILE_ANOTHER_WAITS = """
until("go")
if rank == 0:
    finish("failed", error="label has one class")
    sys.exit(3)
until("never")
"""
REPORTS = """
if rank == 0:
    finish("failed", error="{}")
sys.exit(3 if rank == 0 else 1)
"""
NOTICES = """
# Like the ranks of a real training: the first one notices that another has died, and reports it.
import socket
if rank == 1:
    listener = socket.create_server((os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]) + 1))
    connection, _ = listener.accept()
    until("never")
while True:
    try:
        connection = socket.create_connection((os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]) + 1))
        break
    except ConnectionError:
        time.sleep(0.02)
open(os.path.join(os.environ["SIGNALS"], "met"), "w").close()
try:
    connection.recv(1)
except ConnectionError:
    pass
finish("failed", error="rank 1 died")
sys.exit(3)
"""


async def first_event(trigger: TrainingJobTrigger) -> dict[str, Any]:
    """The event with which a trigger fires."""
    async for event in trigger.run():
        return dict(event.payload)
    raise AssertionError("the trigger ended without an event")
