"""The training step of a run as a program, from the shapes of its arguments."""

from typing import Any

import jax
import jax.numpy as jnp

from mst_jax.structs import Batch
from mst_jax.training.train_state import TrainState
from mst_jax.training.training_run import RunPlan, StatePlan, compile_step


def lower_train_step(plan: RunPlan, state_plan: StatePlan) -> jax.stages.Lowered:
    """Lower the step of a run for its devices, which may be those of a topology.

    Args:
        plan: Plan of the run.
        state_plan: Plan of its first state.
    """
    train_step: Any = compile_step(plan.layout, plan.train_step, state_plan.shardings)
    return train_step.lower(*step_shapes(plan, state_plan))


def trace_train_step(plan: RunPlan, state_plan: StatePlan) -> jax.stages.Traced:
    """Trace the step of a run from the shapes of its arguments; nothing is computed.

    Args:
        plan: Plan of the run, which does not use `pmap`.
        state_plan: Plan of its first state.

    Returns:
        The step, which can be lowered for other platforms.
    """
    train_step: Any = compile_step(plan.layout, plan.train_step, state_plan.shardings)
    return train_step.trace(*step_shapes(plan, state_plan))


def step_shapes(plan: RunPlan, state_plan: StatePlan) -> tuple[TrainState, Batch]:
    """Return the shapes of the state and the batch that the step of a run takes.

    Args:
        plan: Plan of the run.
        state_plan: Plan of its first state.
    """
    options, layout = plan.options, plan.layout
    leading_shape = (options.batch,)
    if layout.transform == "pmap":
        # It takes the devices as the first axis, and places its arguments itself.
        leading_shape = (layout.mesh.size, options.batch // layout.mesh.size)

    def shape_of(shape: tuple[int, ...], dtype: Any, sharding: Any) -> Any:
        sharding = None if layout.transform == "pmap" else sharding
        return jax.ShapeDtypeStruct(shape, dtype, sharding=sharding)

    def images(dtype: Any, *channels: int) -> Any:
        shape = (*leading_shape, options.crop, options.crop, *channels)
        return shape_of(shape, dtype, layout.batch_sharded)

    masks = [images(jnp.bool_) for _ in ("target", "valid", "others")]
    state = jax.tree.map(
        lambda leaf, sharding: shape_of(leaf.shape, leaf.dtype, sharding),
        state_plan.shapes,
        state_plan.shardings,
    )
    return state, Batch(images(jnp.uint8, 3), *masks)
