"""Change a run so that its training step fits into the memory of its devices."""

import dataclasses
import re
from collections.abc import Callable, Iterator
from typing import Any

import jax

from mst_jax.layers.remat import REMAT_MODES
from mst_jax.training.config import TrainingOptions
from mst_jax.training.distributed import sum_over_processes
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

# In the TPU compiler's messages about a program that needs too much HBM.
USED_MEMORY = re.compile(
    r"(?:Used |temporaries \()([\d.]+[KMGT]?)"
    r"(?: of ([\d.]+[KMGT]?) hbm|\) exceeds available HBM \(([\d.]+[KMGT]?)\))"
)


class DoesNotFitError(ValueError):
    """A training step needs more memory than a device has."""


def fit_run(
    plan: RunPlan,
    state_plan: StatePlan,
    report: Callable[[str], None],
    *,
    previous_changes: str = "",
) -> tuple[RunPlan, StatePlan, Any, str]:
    """Return the first run of `smaller_options` whose step fits into the devices.

    Args:
        plan: Plan of the run.
        state_plan: Plan of its first state.
        report: Called with a sentence about what is tried.
        previous_changes: Changes with which the run was interrupted on equal devices,
            which are tried first.

    Returns:
        The plans, the compiled step, and the changes as flags of the command. On CPUs,
        whose memory is not limited, and for `pmap` in several processes, whose compiled
        steps cannot be called, the plans as they were, None and no changes.

    Raises:
        DoesNotFitError: No run fits.
    """
    is_shared_pmap = plan.layout.transform == "pmap" and jax.process_count() > 1
    if platform_name() == "cpu" or is_shared_pmap:
        return plan, state_plan, None, ""
    report("compiling the training step to see whether it fits into the device memory")
    # 1. What is tried; a resumed run begins with what it was interrupted with.
    first_options = plan.options
    error: Exception = DoesNotFitError("it needs too much in another process")
    candidates = {
        describe_changes(first_options, options): options
        for options in smaller_options(first_options, plan.layout.mesh.size)
    }
    untried = list(candidates)
    if previous_changes in candidates:
        untried = untried[untried.index(previous_changes) :]
    for changes in untried:
        # 2. Other options need another model, and maybe another placement.
        if changes:
            report(f"trying {changes}")
            plan = plan_run(candidates[changes])
            state_plan = plan_state(plan)
        # 3. It must fit in all processes.
        try:
            compiled = compile_if_it_fits(
                lower_train_step(plan, state_plan), memory_limit()
            )
        except DoesNotFitError as memory_error:
            compiled, error = None, memory_error
            report(f"warning: the training step does not fit: {error}")
        num_fitting = sum_over_processes({"fits": float(compiled is not None)})["fits"]
        if num_fitting == jax.process_count():
            return plan, state_plan, compiled, changes
    raise DoesNotFitError(
        f"the training step does not fit into the memory of a device: {error}; use "
        "more microbatches (config.grad_accum_steps), or a smaller batch, crop or model"
    )


def platform_name() -> str:
    """Return the platform of the devices: "cpu", "gpu" or "tpu"."""
    return jax.devices()[0].platform


def memory_limit() -> int | None:
    """Return the bytes that this process may use on each of its GPUs.

    Returns:
        The smallest number of its devices; None for TPUs, whose compiler checks it, and
        for devices that do not report it.
    """
    if platform_name() == "tpu":
        return None
    statistics = [device.memory_stats() or {} for device in jax.local_devices()]
    limits = [values.get("bytes_limit") for values in statistics]
    return min((limit for limit in limits if limit), default=None)


def smaller_options(
    options: TrainingOptions, num_devices: int
) -> Iterator[TrainingOptions]:
    """Yield the options, then options whose step needs less memory.

    What a run learns stays the same up to rounding. The state is sharded over all
    devices first, which costs less than more rematerialization.

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
        limit: Bytes of a GPU that the program may use; None only checks what the compiler
            reports. The compiler for TPUs reports a step that does not fit, the compiler
            for GPUs does not.

    Returns:
        The compiled step.

    Raises:
        DoesNotFitError: It needs more memory.
    """
    try:
        compiled = lowered.compile()
    except jax.errors.JaxRuntimeError as error:
        used = USED_MEMORY.search(str(error))
        if used is None:
            raise
        raise DoesNotFitError(
            f"it needs {used[1]} of memory, a device has {used[2] or used[3]}"
        ) from None
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
                f"it needs {needed / GIB:.2f} GiB of memory; of the {limit / GIB:.2f} GiB "
                f"that JAX has on a device, it may use {USED_FRACTION:.0%}"
            )
    return compiled
