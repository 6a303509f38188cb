"""Where a run goes on: its newest checkpoint, another model's parameters, or nowhere."""

import dataclasses
import sys
from collections.abc import Sequence

import grain
import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
from tqdm import tqdm

from mst_jax.checkpoints import store
from mst_jax.models.warm_start import start_from
from mst_jax.structs import TrainState


def start_params(
    state: TrainState, path: str, *, fresh: Sequence[str] = ()
) -> TrainState:
    """Puts another model's parameters in the place of the fresh ones, where they fit.

    Args:
        state: before the first step.
        path: whatever `load` takes.
        fresh: see `start_from`.

    Raises:
        ValueError: they cannot be read, or do not fit.
    """
    params, account = start_from(state.params, path, fresh=fresh)
    tqdm.write(f"starting from {path}\n{account}", sys.stderr)
    average = jax.tree.map(jnp.copy, params) if state.average else ()
    return dataclasses.replace(state, params=params, average=average)


def without_params(state: TrainState) -> dict:
    """What a checkpoint holds besides the model's params; the step is its name.

    If there is an average of the parameters, it is what the model is known by, and the
    parameters themselves are among the rest.
    """
    rest = {"optimizer": state.optimizer, "key": jax.random.key_data(state.key)}
    return rest | ({"params": state.params} if state.average else {})


def resume(
    manager: ocp.CheckpointManager, state: TrainState, batches: grain.DatasetIterator
) -> TrainState:
    """Returns the newest checkpoint's state and moves the loader to its position."""
    newest = manager.latest_step()
    if newest is None:
        return state
    # The position is a file of each process; a batch a step also tells it.
    knows = store.has_position(manager, newest)
    best, training = store.restore(
        manager,
        newest,
        state.best_params,
        without_params(state),
        batches if knows else None,
    )
    if not knows:
        batches.go_to(newest)
    return TrainState(
        step=jax.device_put(np.int32(newest), state.step.sharding),
        params=training.get("params", best),
        optimizer=training["optimizer"],
        key=jax.random.wrap_key_data(training["key"]),
        average=best if state.average else (),
        teacher=state.teacher,
    )
