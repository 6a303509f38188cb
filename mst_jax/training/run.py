"""What a config describes: the first state, the update, the stream of batches."""

import sys

import grain
import jax
import jax.numpy as jnp
from ml_collections import ConfigDict
from tqdm import tqdm

from mst_jax import settings
from mst_jax.data.builders.shapes import Shapes
from mst_jax.data.pipeline import training_batches
from mst_jax.data.store import list_sets, open_source, write_set
from mst_jax.losses.total import check_outputs, check_terms
from mst_jax.models.build import build
from mst_jax.structs import Clicks, TrainState
from mst_jax.training.config import check_config
from mst_jax.training.optimizer import make_optimizer
from mst_jax.training.state import start_state
from mst_jax.training.step import StepFunction, make_step


def build_run(config: ConfigDict) -> tuple[TrainState, StepFunction]:
    """Builds the first state and the update that a config describes.

    Raises:
        ValueError: a key or value that nobody understands; says which.
    """
    check_config(config)
    losses = config.losses.to_dict()
    check_terms(losses)
    module = settings.call(build, "config.model", **config.model.to_dict())
    optimizer, schedule = settings.call(
        make_optimizer, "config.optimizer", config.steps, **config.optimizer
    )
    update = settings.call(
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
    variables = jax.jit(module.init)(init_key, *given)
    state = start_state(
        variables["params"], optimizer, run_key, averages=config.average > 0
    )
    return state, update


def open_data(
    config: ConfigDict,
    *,
    name: str,
    data_dir: str,
    split: str = "train",
    **reading: object,
) -> grain.DatasetIterator:
    """Opens the stream of batches; drawn scenes that are not there yet are drawn."""
    if name == Shapes.name and name not in list_sets(data_dir):
        tqdm.write(f"drawing scenes into {data_dir}", sys.stderr)
        write_set(lambda folder: Shapes(data_dir=folder), name, data_dir)
    return settings.call(
        training_batches,
        "config.data",
        open_source(name, data_dir, split),
        batch=config.batch,
        crop=config.crop,
        seed=config.seed,
        **reading,
    )
