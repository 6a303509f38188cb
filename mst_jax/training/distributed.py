"""Run one training in several processes: join them, synchronize them, abort together.

Every process runs the same command. Process 0 writes what people read; all of them
write checkpoints, each its own shards.
"""

import argparse
import collections
import contextlib
import inspect
import os
import re
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from mst_jax.atomic_io import PathLike
from mst_jax.training.metrics_log import DivergedError
from mst_jax.training.preemption import EXIT_FAILED

# A process without a heartbeat for this time counts as lost, and the others end.
HEARTBEAT_TIMEOUT_SECONDS = 60

# Option of newer versions of JAX: it handles SIGTERM itself.
PREEMPTION_OPTION = "jax_enable_preemption_service"

# One process may need this time for what the others wait for, such as drawing scenes.
BARRIER_TIMEOUT_SECONDS = 3600

# Number of steps after which all processes know of a stop signal in one of them.
STOP_DELAY_STEPS = 2

# Environment variables that are read for flags that are not given.
ENV_VARIABLES = ("JAX_COORDINATOR_ADDRESS", "JAX_NUM_PROCESSES", "JAX_PROCESS_ID")


def add_distributed_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags for the arguments of `join_processes`."""
    flag_group = parser.add_argument_group(
        "several processes",
        "On Cloud TPU and under Slurm the processes connect automatically. Otherwise give "
        f"all three flags, or set {', '.join(ENV_VARIABLES)}.",
    )
    flag_group.add_argument(
        "--coordinator", metavar="HOST:PORT", help="address of process 0"
    )
    flag_group.add_argument("--num-processes", metavar="N", help="number of processes")
    flag_group.add_argument(
        "--process-id", metavar="I", help="index of this process, from 0"
    )


def join_processes(
    coordinator: str | None = None,
    num_processes: str | None = None,
    process_id: str | None = None,
) -> None:
    """Connect this process with the others of the run, before anything else uses JAX.

    Values that are not given are read from `ENV_VARIABLES`. If there is neither, JAX
    looks for Cloud TPU, Slurm, Open MPI and Kubernetes; if it finds none of them, the
    run is a single process.

    Args:
        coordinator: Address of process 0, host:port.
        num_processes: Number of processes.
        process_id: Index of this process, from 0.

    Raises:
        ValueError: Some values are given but not all, or they are impossible.
    """
    flags = {
        "--coordinator": coordinator,
        "--num-processes": num_processes,
        "--process-id": process_id,
    }
    # 1. A flag takes precedence over its environment variable.
    values = {
        flag: value or os.environ.get(env_variable) or ""
        for (flag, value), env_variable in zip(
            flags.items(), ENV_VARIABLES, strict=True
        )
    }
    missing_flags = [flag for flag, value in values.items() if not value]
    if len(missing_flags) == len(values):
        _join_detected_processes()
        return
    # 2. Some but not all: a mistake, whatever JAX could detect.
    if missing_flags:
        raise ValueError(
            f"{', '.join(missing_flags)} not given; expected all of "
            f"{', '.join(flags)}, or {', '.join(ENV_VARIABLES)}"
        )
    # 3. All are given: JAX detects nothing by itself.
    coordinator_address, process_count, process_index = values.values()
    is_valid = (
        process_count.isdecimal()
        and process_index.isdecimal()
        and int(process_index) < int(process_count)
    )
    if not is_valid or not re.fullmatch(r"\S+:\d+", coordinator_address):
        raise ValueError(
            f"process {process_index} of {process_count} with coordinator "
            f"{coordinator_address}; expected numbers, the first below the second, and "
            "HOST:PORT"
        )
    with _keep_signal_handlers():
        jax.distributed.initialize(
            coordinator_address,
            int(process_count),
            int(process_index),
            cluster_detection_method="deactivate",
            **_timeouts(),
        )


def _timeouts() -> dict[str, Any]:
    """Return the timeouts that this JAX has: before 0.8.1 not that of the shutdown."""
    parameters = inspect.signature(jax.distributed.initialize).parameters
    names = ("heartbeat_timeout_seconds", "shutdown_timeout_seconds")
    return {name: HEARTBEAT_TIMEOUT_SECONDS for name in names if name in parameters}


def _join_detected_processes() -> None:
    """Join the processes of a cluster that JAX detects; without one, do nothing."""
    try:
        with _keep_signal_handlers():
            jax.distributed.initialize(**_timeouts())
    except ValueError as error:
        # JAX's message if it detects no other processes.
        if "coordinator_address should be defined" not in str(error):
            raise
    except RuntimeError as error:
        # A program that has used JAX already, such as a notebook, trains alone.
        if "before any JAX calls" not in str(error):
            raise


@contextlib.contextmanager
def _keep_signal_handlers() -> Iterator[None]:
    """Keep JAX from replacing the handler of SIGTERM of the training command."""
    if PREEMPTION_OPTION in jax.config.values:
        jax.config.update(PREEMPTION_OPTION, False)
        yield
        return
    # jax 0.7.2 has no such option and replaces the handler.
    handler = signal.getsignal(signal.SIGTERM)
    yield
    if handler is not None:
        signal.signal(signal.SIGTERM, handler)


def is_main_process() -> bool:
    """Return whether this is process 0, which writes what people read."""
    return jax.process_index() == 0


def sync_processes(barrier_name: str) -> None:
    """Wait until every process is here; if one is lost, JAX ends the others.

    Args:
        barrier_name: Name of the barrier, the same in all processes.
    """
    timeout_ms = 1000 * BARRIER_TIMEOUT_SECONDS
    ocp.multihost.get_barrier_sync_fn()(key=barrier_name, timeout_ms=timeout_ms)


def process_shard() -> tuple[int, int]:
    """Return the index of this process, and the number of processes."""
    return jax.process_index(), jax.process_count()


def sum_over_processes(values: Mapping[str, float]) -> dict[str, float]:
    """Sum named numbers over all processes.

    Args:
        values: Name -> number of this process; the same names in all processes.
    """
    if jax.process_count() == 1:
        return dict(values)
    # One message for all values; their order is the same in all processes.
    local_values = np.array(list(values.values()), np.float32)
    global_sums = multihost_utils.process_allgather(local_values).sum(0).tolist()
    return dict(zip(values, global_sums, strict=True))


@contextlib.contextmanager
def abort_all_on_error(workdir: PathLike) -> Iterator[None]:
    """End all processes soon after an error in one of them.

    The others notice it when they next exchange data. Nothing is cleaned up, because
    that would wait for processes that are gone. A run that diverges does so in all
    processes; the training command handles it.

    Args:
        workdir: Workdir of the run, for the message.
    """
    try:
        yield
    except DivergedError:
        raise
    except Exception as error:
        if jax.process_count() == 1:
            raise
        error_summary = next(iter(str(error).splitlines()), type(error).__name__)
        process_index, process_count = process_shard()
        sys.stderr.write(
            f"\nerror: process {process_index} of {process_count} ends: {error_summary}; "
            "if this is about the connection, another process was lost: see its log; "
            "start all processes again to resume from the newest checkpoint in "
            f"{workdir}\n"
        )
        sys.stderr.flush()
        # Without clean-up: handlers at exit would wait for the lost process.
        os._exit(EXIT_FAILED)


def sync_stop_signal(should_stop: Callable[[], int]) -> Callable[[], int]:
    """Make all processes stop after the same step, as soon as one of them should.

    The signals of the processes after a step are reduced on the devices, behind the
    steps that run there, and read `STOP_DELAY_STEPS` later, when the result has long
    arrived:
    no process waits for it.

    Args:
        should_stop: Function of this process, called after each step; 0 = continue.

    Returns:
        Function that returns the maximum of the processes' values `STOP_DELAY_STEPS`
        steps ago; in a single process `should_stop` itself.
    """
    if jax.process_count() == 1:
        return should_stop
    mesh = Mesh(np.array(jax.devices()), ("device",))
    device_sharding = NamedSharding(mesh, PartitionSpec("device"))
    replicated_sharding = NamedSharding(mesh, PartitionSpec())
    # Every device gets the maximum, so that each process can read its own copy.
    global_max = jax.jit(jnp.max, out_shardings=replicated_sharding)
    in_flight: collections.deque[jax.Array] = collections.deque()

    def any_should_stop() -> int:
        # One element for each device of this process.
        local_signal = np.full(jax.local_device_count(), int(should_stop()), np.int32)
        global_signals = jax.make_array_from_process_local_data(
            device_sharding, local_signal
        )
        in_flight.append(global_max(global_signals))
        return int(in_flight.popleft()) if len(in_flight) > STOP_DELAY_STEPS else 0

    return any_should_stop
