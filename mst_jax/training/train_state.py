"""Where a training run begins."""

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Int, PRNGKeyArray

from mst_jax.structs import TrainState


def start_state(
    params: dict,
    optimizer: optax.GradientTransformation,
    key: PRNGKeyArray,
    *,
    averages: bool = False,
    teacher: object = (),
) -> TrainState:
    """Returns the state before the first step.

    Args:
        params: fresh ones, or those of another model.
        optimizer: optax's.
        key: of the run; kept as it is.
        averages: keep an average of the parameters too; it starts as their copy.
        teacher: a `TrainedModel` to imitate.
    """
    return TrainState(
        step=jnp.int32(0),
        params=params,
        optimizer=optimizer.init(params),
        key=key,
        average=jax.tree.map(jnp.copy, params) if averages else (),
        teacher=teacher,
    )


def move_average(
    average: dict | tuple[()], params: dict, step: Int[Array, ""], *, keep: float
) -> dict | tuple[()]:
    """The average after one more step: `keep` of it, and the rest of the parameters.

    The first steps keep less, (1 + step) / (10 + step), so that what was drawn at random
    is soon forgotten.

    Source: Polyak and Juditsky, Acceleration of Stochastic Approximation by Averaging,
    1992, with exponential weights; the first steps as in TensorFlow's
    ExponentialMovingAverage.

    Args:
        average: of the steps before; empty stays empty.
        params: after this step.
        step: updates done before this one.
        keep: 0 to 1.
    """
    share = jnp.minimum(keep, (1.0 + step) / (10.0 + step))
    return (
        jax.tree.map(
            lambda old, new: share * old + (1.0 - share) * new, average, params
        )
        if average
        else ()
    )
