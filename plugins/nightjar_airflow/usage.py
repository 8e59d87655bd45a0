"""Resources that a program holds while it runs, as configured; the basis of cost estimates."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

from airflow.sdk import BaseHook

from nightjar.declaration.use_case import UseCase
from nightjar.protocol.job import JobSpec
from nightjar_airflow.hooks.spark_submit import configuration_of, master_of

_LOCAL = re.compile(r"local(?:\[([\d*]+).*\])?")


@dataclass(frozen=True, kw_only=True)
class Usage:
    """Cores and GPUs of all processes together."""

    cpus: float
    gpus: float = 0.0


def of_training(use_case: UseCase, spec: JobSpec) -> Usage:
    """Return the usage of all ranks: their threads, and the GPUs declared for the program."""
    gpus = use_case.training.resources_of(spec.program).gpus
    return Usage(cpus=spec.world_size * spec.threads_per_rank, gpus=spec.world_size * gpus)


def of_spark(conn_id: str) -> Usage:
    """Return the usage of the Spark application that the connection configures.

    Locally that is the number of cores. On a cluster it is driver plus executors, with the maximum number of executors
    under dynamic allocation, and one executor by default.
    """
    connection = BaseHook.get_connection(conn_id)
    if local := _LOCAL.fullmatch(master_of(connection)):
        cores = local[1] or "1"
        return Usage(cpus=len(os.sched_getaffinity(0)) if cores == "*" else int(cores))
    conf = configuration_of(connection)
    most = conf.get("spark.dynamicAllocation.maxExecutors", "1")
    executors = int(conf.get("spark.executor.instances", most))
    gpus = executors * int(conf.get("spark.executor.resource.gpu.amount", "0"))
    cores = executors * int(conf.get("spark.executor.cores", "1")) + int(conf.get("spark.driver.cores", "1"))
    return Usage(cpus=int(conf.get("spark.cores.max", cores)), gpus=gpus)
