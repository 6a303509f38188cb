"""Where a training run begins."""

import jax
import jax.numpy as jnp
import optax

from mst_jax.structs import TrainState


def start_state(
    params: dict, optimizer: optax.GradientTransformation, *, seed: int
) -> TrainState:
    """Returns the state before the first step."""
    return TrainState(
        step=jnp.int32(0),
        params=params,
        optimizer=optimizer.init(params),
        key=jax.random.key(seed),
    )
