"""Build what a config describes: the first state and the compiled step."""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import PRNGKeyArray
from ml_collections import ConfigDict

from mst_jax.collectives import BATCH_AXIS
from mst_jax.config_options import call_with_options
from mst_jax.losses.total_loss import check_loss_config, check_loss_inputs
from mst_jax.models.build import build
from mst_jax.models.click_model import ClickModel
from mst_jax.models.load import TrainedModel, load
from mst_jax.models.warm_start import StartValues
from mst_jax.structs import Batch, Clicks
from mst_jax.training.config import TrainingOptions, check_config
from mst_jax.training.optimizer import make_optimizer
from mst_jax.training.sharding import (
    ShardingLayout,
    init_sharded_state,
    make_sharding_layout,
    shard_tree,
    state_shardings,
)
from mst_jax.training.train_state import TrainState, init_train_state, start_from
from mst_jax.training.train_step import TrainStepFn, make_train_step


class RunPlan(NamedTuple):
    """What a config describes, before anything is traced or initialized.

    Attributes:
        options: Checked values of the config.
        layout: Devices of the run.
        module: Model that is trained.
        optimizer: Its optimizer.
        train_step: The step, written for one device and not compiled.
    """

    options: TrainingOptions
    layout: ShardingLayout
    module: ClickModel
    optimizer: optax.GradientTransformation
    train_step: TrainStepFn


class StatePlan(NamedTuple):
    """The first state of a run before it is initialized.

    Attributes:
        init_state: Function (init key, run key, teacher) -> state.
        shapes: State of shapes.
        shardings: State whose leaves are shardings.
        teacher: Model that the loss `distillation` imitates; None without.
    """

    init_state: Callable[..., TrainState]
    shapes: TrainState
    shardings: TrainState
    teacher: TrainedModel | None


class TrainingRun(NamedTuple):
    """A run before its first step.

    Attributes:
        options: Checked values of the config.
        state: State before the first step, sharded.
        train_step: Compiled step; it takes batches of `sharding.shard_batch`.
        layout: Devices of the run.
        shardings: `TrainState` whose leaves are shardings.
        module: Model that is trained.
    """

    options: TrainingOptions
    state: TrainState
    train_step: TrainStepFn
    layout: ShardingLayout
    shardings: TrainState
    module: ClickModel


def build_run(config: ConfigDict) -> TrainingRun:
    """Build the first state and the training step that a config describes.

    Args:
        config: Config of a run, see `configs/`.

    Raises:
        ValueError: See `plan_run` and `plan_state`.
    """
    plan = plan_run(check_config(config))
    return init_run(plan, plan_state(plan))


def plan_run(options: TrainingOptions, devices: Sequence[Any] | None = None) -> RunPlan:
    """Build the model, the optimizer and the step, without tracing anything.

    Args:
        options: Checked values of the config.
        devices: Devices of the run; None = those of all processes.

    Raises:
        ValueError: A wrong value, or devices that cannot share the batch.
    """
    layout = make_sharding_layout(
        options.sharding,
        num_examples=options.batch // options.grad_accum_steps,
        devices=devices,
    )
    check_loss_config(options.losses)
    module = call_with_options(build, "config.model", **options.model)
    optimizer, schedule = make_optimizer(options.optimizer, num_steps=options.steps)
    train_step = make_train_step(
        module,
        optimizer,
        schedule,
        options.losses,
        options.clicks,
        grad_accum_steps=options.grad_accum_steps,
        ema_decay=options.ema_decay,
        frozen=options.optimizer.frozen,
    )
    return RunPlan(options, layout, module, optimizer, train_step)


def plan_state(plan: RunPlan) -> StatePlan:
    """Trace the first state and check what depends on shapes; nothing is computed.

    Args:
        plan: Plan of the run.

    Raises:
        ValueError: A loss or a teacher that does not fit the model, or a path rule
            that does not fit its parameters.
    """
    options = plan.options
    teacher = None
    if options.teacher is not None:
        teacher = _load_teacher(options.teacher, options.crop)

    # Under `jit`: the trace for the shapes below is also that of the program that
    # computes the state, into which it is inlined. The teacher is an argument; as a
    # constant it would be compiled into the program.
    @functools.partial(jax.jit, inline=True)
    def init_state_and_outputs(
        init_key: PRNGKeyArray, run_key: PRNGKeyArray, teacher: TrainedModel | None
    ) -> tuple[TrainState, Any]:
        inputs = example_inputs(options.crop)
        outputs, variables = plan.module.init_with_output(init_key, *inputs)
        with_ema = options.ema_decay > 0
        params: Any = variables["params"]
        state = init_train_state(
            params, plan.optimizer, run_key, with_ema=with_ema, teacher=teacher
        )
        return state, outputs

    def init_state(*args: Any) -> TrainState:
        return init_state_and_outputs(*args)[0]

    key_shape = jax.eval_shape(jax.random.key, 0)
    shapes, outputs = init_state_and_outputs.eval_shape(key_shape, key_shape, teacher)
    check_loss_inputs(options.losses, outputs)
    shardings = state_shardings(plan.layout, shapes)
    return StatePlan(init_state, shapes, shardings, teacher)


def init_run(
    plan: RunPlan, state_plan: StatePlan, start: StartValues | None = None
) -> TrainingRun:
    """Initialize the first state of a run.

    Args:
        plan: Plan of the run.
        state_plan: Plan of its first state.
        start: Parameters of another model that the run starts from; None = random ones.
    """
    init_key, run_key = jax.random.split(jax.random.key(plan.options.seed))
    shardings = state_plan.shardings
    state = init_sharded_state(
        shardings, state_plan.init_state, init_key, run_key, state_plan.teacher
    )
    if start is not None:
        # The file's arrays are whole on the host; those of the run may be sharded.
        state = shard_tree(start_from(state, start), shardings)
    train_step = compile_step(plan.layout, plan.train_step, shardings)
    return TrainingRun(
        plan.options, state, train_step, plan.layout, shardings, plan.module
    )


def compile_step(
    layout: ShardingLayout, train_step: TrainStepFn, shardings: TrainState
) -> TrainStepFn:
    """Compile a training step for all devices.

    Args:
        layout: Devices of the run.
        train_step: The step, written for one device.
        shardings: `TrainState` whose leaves are shardings.

    Returns:
        The step, of a state with these shardings and a batch of `shard_batch`. The
        input state is donated: do not use it afterwards.
    """
    if layout.transform == "pmap":
        # The state is whole on each device; gradients are summed inside the step.
        mesh: Any = layout.mesh
        devices = list(mesh.devices.flat)
        return jax.pmap(
            train_step,
            axis_name=BATCH_AXIS,
            in_axes=(None, 0),
            out_axes=None,
            donate_argnums=0,
            # Those of a topology; `pmap` finds the devices of this process itself.
            devices=None if devices[0] in jax.devices() else devices,
        )

    def step_with_gathered_params(state: TrainState, batch: Batch) -> tuple:
        # Sharded parameters are gathered for the network, each where it is needed
        # first, and are updated in their shards, as the optimizer's state is.
        params = jax.lax.with_sharding_constraint(state.params, layout.replicated)
        return train_step(dataclasses.replace(state, params=params), batch)

    return jax.jit(
        step_with_gathered_params,
        in_shardings=(shardings, layout.batch_sharded),
        out_shardings=(shardings, layout.replicated),
        donate_argnums=0,
    )


def example_inputs(crop: int) -> tuple[jax.Array, Clicks, jax.Array]:
    """Return an image, clicks and a previous mask that initialize a model.

    Args:
        crop: Height and width of the image in pixels.

    Returns:
        [1 crop crop 3] zeros, one empty click slot, [1 crop crop] zeros.
    """
    image, prev_mask = jnp.zeros((1, crop, crop, 3)), jnp.zeros((1, crop, crop))
    return image, Clicks.empty(1, num_slots=1), prev_mask


def _load_teacher(path: str, crop: int) -> TrainedModel:
    """Load a teacher and check that it takes the images of the run.

    Args:
        path: Anything that `mst_jax.load` takes.
        crop: Height and width of the images in pixels.
    """
    teacher = load(path)
    try:
        jax.eval_shape(lambda: teacher(*example_inputs(crop)))
    except ValueError as error:
        raise ValueError(
            f"config.teacher {path} cannot be applied to the training images: {error}"
        ) from None
    # Return host arrays; `init_sharded_state` places them on all devices of the run.
    return jax.device_get(teacher)
