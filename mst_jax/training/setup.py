"""What a config describes: devices, the first state, the update, the data."""

import sys
from typing import NamedTuple

import grain
import jax
import jax.numpy as jnp
from jaxtyping import PRNGKeyArray
from ml_collections import ConfigDict
from tqdm import tqdm

from mst_jax import config_options
from mst_jax.data.builders.shapes import Shapes
from mst_jax.data.dataset import list_sets, open_source, write_set
from mst_jax.data.pipeline import training_batches
from mst_jax.losses.total_loss import check_outputs, check_terms
from mst_jax.models.build import build
from mst_jax.models.click_model import ClickModel
from mst_jax.models.load import TrainedModel, load
from mst_jax.structs import Clicks, TrainState
from mst_jax.training import distributed
from mst_jax.training.config import check_config
from mst_jax.training.optimizer import make_optimizer
from mst_jax.training.sharding import Layout, make_layout, make_state, spread
from mst_jax.training.train_state import start_state
from mst_jax.training.train_step import StepFunction, make_step


class Run(NamedTuple):
    """A run before its first step.

    Attributes:
        state: lies on the devices as its shardings say.
        update: compiled; takes batches of `sharding.put_batch`.
        layout: of the devices.
        shardings: of the state.
        module: the model.
    """

    state: TrainState
    update: StepFunction
    layout: Layout
    shardings: TrainState
    module: ClickModel


def build_run(config: ConfigDict) -> Run:
    """Builds the first state and the update that a config describes.

    Raises:
        ValueError: a key or value that nobody understands, or devices that cannot share
            the batch; says which.
    """
    check_config(config)
    layout = config_options.call(
        make_layout,
        "config.parallel",
        config.batch // config.accumulate,
        **config.parallel,
    )
    losses = config.losses.to_dict()
    check_terms(losses)
    module = config_options.call(build, "config.model", **config.model.to_dict())
    optimizer, schedule = config_options.call(
        make_optimizer, "config.optimizer", config.steps, **config.optimizer
    )
    update = config_options.call(
        make_step,
        "config.clicks",
        module,
        optimizer,
        schedule,
        losses,
        config.accumulate,
        config.average,
        config.optimizer.get("frozen", ()),
        **config.clicks,
    )
    shape = (1, config.crop, config.crop)
    init_key, run_key = jax.random.split(jax.random.key(config.seed))
    given = (jnp.zeros((*shape, 3)), Clicks.empty(1, num_slots=1), jnp.zeros(shape))
    outputs, _ = jax.eval_shape(module.init_with_output, init_key, *given)
    check_outputs(losses, outputs)
    teacher = _load_teacher(config.teacher, given) if config.teacher else ()

    def start(
        init_key: PRNGKeyArray, run_key: PRNGKeyArray, teacher: TrainedModel | tuple
    ) -> TrainState:
        params = module.init(init_key, *given)["params"]
        averages = config.average > 0
        return start_state(
            params, optimizer, run_key, averages=averages, teacher=teacher
        )

    state, shardings = make_state(layout, start, init_key, run_key, teacher)
    return Run(state, spread(layout, update, shardings), layout, shardings, module)


def _load_teacher(path: str, given: tuple) -> TrainedModel:
    """Loads a model and sees that it can look at what the run's model looks at."""
    teacher = load(path)
    try:
        jax.eval_shape(teacher, *given)
    except ValueError as error:
        raise ValueError(f"config.teacher {path} cannot look: {error}") from None
    # Wherever its arrays lay, they are to lie on all devices of the run.
    return jax.device_get(teacher)


def open_data(
    config: ConfigDict,
    *,
    name: str,
    data_dir: str,
    split: str = "train",
    **reading: object,
) -> grain.DatasetIterator:
    """Opens this process's share of the stream of batches.

    Drawn scenes that are not there yet are drawn, by the first process.
    """
    if (
        name == Shapes.name
        and name not in list_sets(data_dir)
        and distributed.is_first()
    ):
        tqdm.write(f"drawing scenes into {data_dir}", sys.stderr)
        write_set(lambda folder: Shapes(data_dir=folder), name, data_dir)
    distributed.wait("the scenes are drawn")
    return config_options.call(
        training_batches,
        "config.data",
        open_source(name, data_dir, split),
        batch=config.batch // distributed.shard()[1],
        crop=config.crop,
        seed=config.seed,
        shard=distributed.shard(),
        **reading,
    )
