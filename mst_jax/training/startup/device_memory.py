"""Change a run so that its training step fits into the memory of its devices."""

import dataclasses
import re
from collections.abc import Callable, Iterator
from typing import Any

import jax

from mst_jax.layers.remat import REMAT_MODES
from mst_jax.training.config import TrainingOptions
from mst_jax.training.sharding import MESH_AXES, REPLICATED
from mst_jax.training.startup.step_program import lower_train_step
from mst_jax.training.training_run import (
    RunPlan,
    StatePlan,
    plan_run,
    plan_state,
)

FULLY_SHARDED = ((".*", MESH_AXES),)
"""Path rules that shard every parameter over all devices (FSDP)."""

# The rest is left to batches that wait for their step, and to gaps between arrays.
USED_FRACTION = 0.95

GIB = 2**30

# In the compiler's messages about a program that is too large.
USED_MEMORY = re.compile(
    r"(?:Used |temporaries \()([\d.]+[KMGT]?)(?: of |\) exceeds available HBM \()"
    r"([\d.]+[KMGT]?)"
)


class DoesNotFitError(ValueError):
    """A training step needs more memory than a device has; the message has both."""


def fit_run(
    plan: RunPlan, state_plan: StatePlan, report: Callable[[str], None]
) -> tuple[RunPlan, StatePlan, Any]:
    """Return the first run of `smaller_options` whose step fits into the devices.

    Args:
        plan: Plan of the run.
        state_plan: Plan of its first state.
        report: Called with a sentence about each run that does not fit.

    Returns:
        The plans, and the compiled step. On devices that do not report their memory,
        such as CPUs, the plans as they were, and None.

    Raises:
        DoesNotFitError: No run fits.
    """
    limit = memory_limit()
    if limit is None:
        return plan, state_plan, None
    report(
        "compiling the training step to see whether it fits into the memory of a device, "
        f"{limit / GIB:.1f} GiB (usually 1 to 5 minutes, less if the program is cached)"
    )
    first_options = plan.options
    for options in smaller_options(first_options, plan.layout.mesh.size):
        if options is not first_options:
            report(f"trying {describe_changes(first_options, options)}")
            plan = plan_run(options)
            state_plan = plan_state(plan)
        try:
            lowered = lower_train_step(plan, state_plan)
            return plan, state_plan, compile_if_it_fits(lowered, limit)
        except DoesNotFitError as error:
            report(f"warning: the training step does not fit: {error}")
    raise DoesNotFitError(
        "the training step does not fit into the memory of a device; use a smaller "
        "model, crop or batch, or more devices"
    )


def memory_limit() -> int | None:
    """Return the bytes that this process may use on each of its devices, or None."""
    statistics = [device.memory_stats() for device in jax.local_devices()]
    limits = [values.get("bytes_limit") for values in statistics if values]
    return min((limit for limit in limits if limit), default=None)


def smaller_options(
    options: TrainingOptions, num_devices: int
) -> Iterator[TrainingOptions]:
    """Yield the options themselves, then options whose step needs less memory.

    In the order of what they cost: the state sharded over all devices, more
    rematerialization, and more microbatches.

    Args:
        options: Checked values of a config.
        num_devices: Number of devices of the run.
    """
    yield options
    # 1. Shard the state, unless the config already says how it is sharded.
    placement = options.sharding
    is_replicated = placement.rules == REPLICATED and placement.transform == "jit"
    if is_replicated and num_devices > 1:
        sharding = dataclasses.replace(placement, rules=FULLY_SHARDED)
        options = dataclasses.replace(options, sharding=sharding)
        yield options
    # 2. Recompute more.
    for remat in REMAT_MODES[REMAT_MODES.index(remat_mode(options)) + 1 :]:
        options = with_remat_mode(options, remat)
        yield options
    # 3. Halve the microbatches.
    while options.batch % (2 * options.grad_accum_steps * num_devices) == 0:
        options = dataclasses.replace(
            options, grad_accum_steps=2 * options.grad_accum_steps
        )
        yield options


def remat_mode(options: TrainingOptions) -> str:
    """Return the rematerialization mode of the options."""
    return options.model.get("remat", REMAT_MODES[0])


def with_remat_mode(options: TrainingOptions, remat: str) -> TrainingOptions:
    """Return the options with another rematerialization mode."""
    return dataclasses.replace(options, model={**options.model, "remat": remat})


def describe_changes(first: TrainingOptions, options: TrainingOptions) -> str:
    """Return the flags that change the first options into the others."""
    changes = {
        "model.remat": (remat_mode(first), remat_mode(options)),
        "grad_accum_steps": (first.grad_accum_steps, options.grad_accum_steps),
        "sharding.rules": (first.sharding.rules, options.sharding.rules),
    }
    return " ".join(
        f'--config.{key}="{new}"' if isinstance(new, tuple) else f"--config.{key}={new}"
        for key, (old, new) in changes.items()
        if old != new
    )


def compile_if_it_fits(
    lowered: jax.stages.Lowered, limit: int | None = None
) -> jax.stages.Compiled:
    """Compile a training step for its devices.

    Args:
        lowered: The step.
        limit: Bytes of memory of a device; None leaves the check to the compiler, which
            that for TPUs does and that for GPUs does not.

    Returns:
        The compiled step.

    Raises:
        DoesNotFitError: It needs more memory.
    """
    try:
        compiled = lowered.compile()
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        raise DoesNotFitError(shorten_memory_error(str(error))) from None
    memory = compiled.memory_analysis()
    if limit is not None and memory is not None:
        needed = (
            memory.temp_size_in_bytes
            + memory.argument_size_in_bytes
            + memory.output_size_in_bytes
            - memory.alias_size_in_bytes
        )
        if needed > USED_FRACTION * limit:
            raise DoesNotFitError(
                f"{needed / GIB:.2f} GiB of {USED_FRACTION * limit / GIB:.2f} GiB"
            )
    return compiled


def shorten_memory_error(message: str) -> str:
    """Return the memory that a program needs and that a chip has.

    Args:
        message: The compiler's message about a program that is too large.

    Returns:
        Such as "18.31G of 15.75G"; the first line of a message without these numbers.
    """
    used = USED_MEMORY.search(message)
    return f"{used[1]} of {used[2]}" if used else message.splitlines()[0]
