"""The processes of a run: found, counted, and told apart.

Every process runs the same command. Process 0 writes what people read; all of them write
checkpoints, each its own shards.
"""

import argparse
import collections
import contextlib
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from mst_jax.training import metrics_log

# Seconds without a sign of life after which a process counts as lost, and the others end.
PATIENCE = 60

# Seconds that one process may need for what the others wait for, such as drawing scenes.
LONGEST_WAIT = 3600

FAILED = 1

# Steps after which all processes know that one was told to stop.
DELAY = 2

# What is not given as a flag.
VARIABLES = ("JAX_COORDINATOR_ADDRESS", "JAX_NUM_PROCESSES", "JAX_PROCESS_ID")


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of which `join` wants to know."""
    group = parser.add_argument_group(
        "several processes",
        "found by themselves on Cloud TPU and under Slurm; else give all three, or "
        f"{', '.join(VARIABLES)}",
    )
    group.add_argument("--coordinator", metavar="HOST:PORT", help="of process 0")
    group.add_argument("--num_processes", metavar="N", help="of the run")
    group.add_argument("--process_id", metavar="I", help="of this one, from 0")


def join(
    coordinator: str | None = None,
    num_processes: str | None = None,
    process_id: str | None = None,
) -> None:
    """Makes this process one of a run's, before anything else of JAX is used.

    What is not given is looked up in the environment, see `VARIABLES`; with neither, JAX
    looks for Cloud TPU, Slurm, Open MPI and Kubernetes; if it finds nothing, this process
    is alone.

    Args:
        coordinator: host:port of process 0.
        num_processes: of the run.
        process_id: number of this one, from 0.

    Raises:
        ValueError: some are given but not all, or they cannot be.
    """
    flags = {
        "--coordinator": coordinator,
        "--num_processes": num_processes,
        "--process_id": process_id,
    }
    said = {
        flag: value or os.environ.get(variable)
        for (flag, value), variable in zip(flags.items(), VARIABLES, strict=True)
    }
    missing = [flag for flag, value in said.items() if not value]
    if len(missing) == len(said):
        _join_found()
        return
    if missing:
        raise ValueError(
            f"{', '.join(missing)} not given; expected all of {', '.join(flags)}, or "
            f"{', '.join(VARIABLES)}"
        )
    where, count, number = said.values()
    fits = count.isdecimal() and number.isdecimal() and int(number) < int(count)
    if not fits or not re.fullmatch(r"\S+:\d+", where):
        raise ValueError(
            f"process {number} of {count} with coordinator {where}; expected numbers, "
            "the first below the second, and HOST:PORT"
        )
    _listens_itself()
    jax.distributed.initialize(
        where,
        int(count),
        int(number),
        cluster_detection_method="deactivate",
        heartbeat_timeout_seconds=PATIENCE,
        shutdown_timeout_seconds=PATIENCE,
    )


def _join_found() -> None:
    """Joins the processes that the surroundings tell of, if they do."""
    _listens_itself()
    try:
        jax.distributed.initialize(
            heartbeat_timeout_seconds=PATIENCE, shutdown_timeout_seconds=PATIENCE
        )
    except ValueError as error:
        # What JAX says if nothing around it speaks of other processes.
        if "coordinator_address should be defined" not in str(error):
            raise
    except RuntimeError as error:
        # A program that has used JAX already, such as a notebook, trains alone.
        if "before any JAX calls" not in str(error):
            raise


def _listens_itself() -> None:
    """Leaves SIGTERM to the command: JAX would take its handler away."""
    jax.config.update("jax_enable_preemption_service", False)


def is_first() -> bool:
    """Is this the process that writes what people read?"""
    return jax.process_index() == 0


def wait(what: str) -> None:
    """Waits until every process has come here; if one is lost, JAX ends the others."""
    milliseconds = 1000 * LONGEST_WAIT
    ocp.multihost.get_barrier_sync_fn()(key=what, timeout_ms=milliseconds)


def shard() -> tuple[int, int]:
    """Number of this process, and of all."""
    return jax.process_index(), jax.process_count()


def added(numbers: Mapping[str, float]) -> dict[str, float]:
    """The sums over all processes of what each of them has counted."""
    if jax.process_count() == 1:
        return dict(numbers)
    own = np.array(list(numbers.values()), np.float32)
    sums = multihost_utils.process_allgather(own).sum(0).tolist()
    return dict(zip(numbers, sums, strict=True))


@contextlib.contextmanager
def ending_together(workdir: object) -> Iterator[None]:
    """If something breaks in one of several processes, all of them end soon.

    The others learn of it when they next exchange numbers. Nobody tidies up: that would
    wait for processes that are gone. What has diverged has done so everywhere, and is
    left to the command.

    Args:
        workdir: of the run, for the message.
    """
    try:
        yield
    except metrics_log.Diverged:
        raise
    except Exception as error:
        if jax.process_count() == 1:
            raise
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        number, count = shard()
        sys.stderr.write(
            f"\nprocess {number} of {count} ends: {reason}; if this is about the "
            "connection, another process was lost: see its log. Start all of them again: "
            f"they go on from the newest checkpoint in {workdir}\n"
        )
        sys.stderr.flush()
        os._exit(FAILED)


def together(should_stop: Callable[[], int]) -> Callable[[], int]:
    """Makes all processes stop after the same step, as soon as one should.

    What the processes say after a step travels on the devices, behind the steps that are
    under way, and is read `DELAY` steps later, when it has long arrived: nobody waits.

    Args:
        should_stop: of this process, asked after each step; 0: go on.

    Returns:
        The largest of what they said `DELAY` steps ago; alone, `should_stop` itself.
    """
    if jax.process_count() == 1:
        return should_stop
    mesh = Mesh(np.array(jax.devices()), ("device",))
    apart, copied = (NamedSharding(mesh, PartitionSpec(*x)) for x in (("device",), ()))
    largest = jax.jit(jnp.max, out_shardings=copied)
    under_way: collections.deque = collections.deque()

    def anyone() -> int:
        said = np.full(jax.local_device_count(), int(should_stop()), np.int32)
        said = jax.make_array_from_process_local_data(apart, said)
        under_way.append(largest(said))
        return int(under_way.popleft()) if len(under_way) > DELAY else 0

    return anyone
