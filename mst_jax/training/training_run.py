"""Build what a config describes: the first state, the compiled step, the data."""

import dataclasses
import sys
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import PRNGKeyArray
from ml_collections import ConfigDict
from tqdm import tqdm

from mst_jax.collectives import BATCH_AXIS
from mst_jax.config_options import call_with_options
from mst_jax.data.batch_iterator import BatchIterator
from mst_jax.data.builders.shapes import Shapes
from mst_jax.data.dataset import list_datasets, open_dataset, write_dataset
from mst_jax.data.pipeline import pipeline_options_from_config, training_batches
from mst_jax.losses.total_loss import check_loss_config, check_loss_inputs
from mst_jax.models.build import build
from mst_jax.models.click_model import ClickModel
from mst_jax.models.load import TrainedModel, load
from mst_jax.structs import Batch, Clicks
from mst_jax.training import distributed
from mst_jax.training.config import TrainingOptions, check_config
from mst_jax.training.optimizer import make_optimizer
from mst_jax.training.sharding import (
    ShardingLayout,
    init_sharded_state,
    make_sharding_layout,
)
from mst_jax.training.train_state import TrainState, init_train_state
from mst_jax.training.train_step import TrainStepFn, make_train_step


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
        ValueError: An unknown key, a wrong value, or devices that cannot share the
            batch; the message names it.
    """
    options = check_config(config)
    layout = make_sharding_layout(
        options.sharding, num_examples=options.batch // options.grad_accum_steps
    )
    # 1. Model, optimizer and step.
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
    # 2. Checks that need the shapes of the outputs; nothing is computed.
    init_key, run_key = jax.random.split(jax.random.key(options.seed))
    inputs = example_inputs(options.crop)
    outputs, _ = jax.eval_shape(module.init_with_output, init_key, *inputs)
    check_loss_inputs(options.losses, outputs)
    teacher = None
    if options.teacher is not None:
        teacher = _load_teacher(options.teacher, inputs)

    # 3. The first state. The teacher is an argument; as a constant it would be compiled
    # into the program.
    def init_state(
        init_key: PRNGKeyArray, run_key: PRNGKeyArray, teacher: TrainedModel | None
    ) -> TrainState:
        params: Any = module.init(init_key, *inputs)["params"]
        with_ema = options.ema_decay > 0
        return init_train_state(
            params, optimizer, run_key, with_ema=with_ema, teacher=teacher
        )

    state, shardings = init_sharded_state(
        layout, init_state, init_key, run_key, teacher
    )
    train_step = compile_step(layout, train_step, shardings)
    return TrainingRun(options, state, train_step, layout, shardings, module)


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
        return jax.pmap(
            train_step,
            axis_name=BATCH_AXIS,
            in_axes=(None, 0),
            out_axes=None,
            donate_argnums=0,
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


def _load_teacher(path: str, inputs: tuple) -> TrainedModel:
    """Load a teacher and check that it takes the images of the run.

    Args:
        path: Anything that `mst_jax.load` takes.
        inputs: Example inputs with the run's shapes.
    """
    teacher = load(path)
    try:
        jax.eval_shape(teacher, *inputs)
    except ValueError as error:
        raise ValueError(
            f"config.teacher {path} cannot be applied to the training images: {error}"
        ) from None
    # Return host arrays; `init_sharded_state` places them on all devices of the run.
    return jax.device_get(teacher)


def open_data(
    options: TrainingOptions,
    *,
    name: str,
    data_dir: str,
    split: str = "train",
    **pipeline_options: Any,
) -> BatchIterator:
    """Open this process's share of the stream of training batches.

    The synthetic dataset of the quick start is generated by the main process if it is
    missing.

    Args:
        options: Checked values of the config.
        name: Name of a prepared dataset.
        data_dir: Folder of the prepared datasets.
        split: Split of the dataset, such as "train" or "train[:95%]".
        **pipeline_options: Keys and values of `data.pipeline.PipelineOptions`.

    Raises:
        ValueError: There is no such dataset or split, or a wrong option.
    """
    # 1. The synthetic dataset is generated instead of downloaded.
    is_missing = name == Shapes.name and name not in list_datasets(data_dir)
    if is_missing and distributed.is_main_process():
        tqdm.write(f"drawing scenes into {data_dir}", sys.stderr)
        write_dataset(lambda folder: Shapes(data_dir=folder), name, data_dir)
    distributed.sync_processes("the scenes are drawn")
    # 2. `config.batch` counts the examples of all processes.
    process_index, num_processes = distributed.process_shard()
    return training_batches(
        open_dataset(name, data_dir, split),
        pipeline_options_from_config(pipeline_options),
        batch_size=options.batch // num_processes,
        crop_size=options.crop,
        seed=options.seed,
        shard=(process_index, num_processes),
    )
