"""Where a training run begins."""

import jax.numpy as jnp
import optax
from jaxtyping import PRNGKeyArray

from mst_jax.structs import TrainState


def start_state(
    params: dict, optimizer: optax.GradientTransformation, key: PRNGKeyArray
) -> TrainState:
    """Returns the state before the first step; `key` is the run's, used here only."""
    return TrainState(
        step=jnp.int32(0), params=params, optimizer=optimizer.init(params), key=key
    )
