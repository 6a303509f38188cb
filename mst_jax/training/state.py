"""What a training run knows between two steps."""

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Int, PRNGKeyArray

from mst_jax.structs import struct


@struct
class TrainState:
    """Everything that the next step needs besides its batch.

    Attributes:
        step: updates done.
        params: the model's parameters.
        optimizer: optax's state.
        key: of the run; each step folds its number in, so that a resumed run draws what
            the unbroken one would have drawn.
    """

    step: Int[Array, ""]
    params: dict
    optimizer: optax.OptState
    key: PRNGKeyArray


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
