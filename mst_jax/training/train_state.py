"""The training state: its first value, its moving average, and how a run resumes it."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import orbax.checkpoint as ocp
from jaxtyping import Array, Int, PRNGKeyArray

from mst_jax.checkpoints import store
from mst_jax.data.batch_iterator import BatchIterator
from mst_jax.models.load import TrainedModel
from mst_jax.models.warm_start import StartValues, fill_params
from mst_jax.structs import pytree_dataclass


@pytree_dataclass
class TrainState:
    """Everything that the next training step needs besides its batch.

    Attributes:
        step: Number of updates done.
        params: Tree of the model's parameters.
        opt_state: State of the optax optimizer.
        key: PRNG key of the run. Each step folds its index in, so that a resumed run
            draws what the uninterrupted run would have drawn.
        ema_params: Exponential moving average of the parameters; None without.
        teacher: Model that the loss `distillation` imitates; None without. It never
            changes and is not saved in checkpoints.
    """

    step: Int[Array, ""]
    params: dict[str, Any]
    opt_state: optax.OptState
    key: PRNGKeyArray
    ema_params: dict[str, Any] | None = None
    teacher: TrainedModel | None = None

    @property
    def eval_params(self) -> dict[str, Any]:
        """The parameters to evaluate and publish: the moving average, if any."""
        return self.params if self.ema_params is None else self.ema_params


def init_train_state(
    params: dict[str, Any],
    optimizer: optax.GradientTransformation,
    key: PRNGKeyArray,
    *,
    with_ema: bool = False,
    teacher: TrainedModel | None = None,
) -> TrainState:
    """Return the state before the first step.

    Args:
        params: Tree of parameters, initialized or of another model.
        optimizer: The optax optimizer.
        key: PRNG key of the run; the state keeps it unchanged.
        with_ema: Keep a moving average of the parameters; it starts as their copy.
        teacher: Model to imitate; None without.
    """
    return TrainState(
        step=jnp.int32(0),
        params=params,
        opt_state=optimizer.init(params),
        key=key,
        # A copy: both trees are donated to the training step.
        ema_params=jax.tree.map(jnp.copy, params) if with_ema else None,
        teacher=teacher,
    )


def update_ema(
    ema_params: dict[str, Any] | None,
    params: dict[str, Any],
    step: Int[Array, ""],
    *,
    decay: float,
) -> dict[str, Any] | None:
    """Update the exponential moving average of the parameters.

    The first steps have the lower decay (1 + step) / (10 + step), so that the random
    initialization is soon forgotten.

    Source: Polyak and Juditsky, Acceleration of Stochastic Approximation by Averaging,
    1992, with exponential weights; the first steps as in TensorFlow's
    ExponentialMovingAverage.

    Args:
        ema_params: Average before this step; None stays None.
        params: Parameters after this step.
        step: Number of updates done before this step.
        decay: Weight of the old average, 0 to 1.
    """
    if ema_params is None:
        return None
    old_weight = jnp.minimum(decay, (1.0 + step) / (10.0 + step))
    return jax.tree.map(
        lambda old, new: old_weight * old + (1.0 - old_weight) * new, ema_params, params
    )


def start_from(state: TrainState, start: StartValues) -> TrainState:
    """Replace the initialized parameters by those of another model, where they fit.

    Args:
        state: State before the first step.
        start: Parameters of the other model.
    """
    params = fill_params(state.params, start)
    # The average starts where the parameters start.
    ema_params = None if state.ema_params is None else jax.tree.map(jnp.copy, params)
    return dataclasses.replace(state, params=params, ema_params=ema_params)


def resume_tree(state: TrainState) -> dict[str, Any]:
    """Return what a checkpoint holds for resuming, besides `eval_params`.

    The step is the name of the checkpoint. If there is a moving average of the
    parameters, it is the published model, and the parameters themselves belong to this
    tree.
    """
    # Orbax saves arrays of numbers; a typed key is rebuilt from its data.
    tree = {"opt_state": state.opt_state, "key": jax.random.key_data(state.key)}
    return tree if state.ema_params is None else tree | {"params": state.params}


def restore_latest(
    manager: ocp.CheckpointManager, state: TrainState, batches: BatchIterator
) -> TrainState:
    """Restore the newest checkpoint, and move the data iterator to its position.

    Args:
        manager: Checkpoints of the run.
        state: State of the same structure and shardings.
        batches: Iterator over the training batches; it is moved in place.

    Returns:
        The state of the newest checkpoint; `state` itself if there is none.
    """
    newest_step = manager.latest_step()
    if newest_step is None:
        return state
    # The position is a file of each process. If the number of processes has changed,
    # the step determines the position: the stream yields one batch per step.
    has_position = store.has_data_position(manager, newest_step)
    eval_params, tree = store.restore_checkpoint(
        manager,
        newest_step,
        state.eval_params,
        resume_tree(state),
        batches if has_position else None,
    )
    if not has_position:
        batches.seek(newest_step)
    return TrainState(
        step=jax.device_put(np.int32(newest_step), state.step.sharding),
        params=tree.get("params", eval_params),
        opt_state=tree["opt_state"],
        key=jax.random.wrap_key_data(tree["key"]),
        ema_params=None if state.ema_params is None else eval_params,
        teacher=state.teacher,
    )
