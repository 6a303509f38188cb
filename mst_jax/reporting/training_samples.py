"""What a model does with a few examples of a batch, to be shown to people."""

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, PRNGKeyArray

from mst_jax.structs import Batch, Clicks, Look
from mst_jax.training.train_step import simulate_user


def make_look(
    module: nn.Module,
    *,
    max_first: int = 24,
    max_rounds: int = 3,
    no_click_prob: float = 0.0,
) -> Callable[[dict, Batch, PRNGKeyArray], Look]:
    """Compiles a look at examples; arguments as in `make_step`.

    Returns:
        (params, batch, random key) -> Look. The user clicks as in training, and nothing
        is dropped.
    """

    @jax.jit
    def look(params: dict, batch: Batch, key: PRNGKeyArray) -> Look:
        image = batch.image.astype(jnp.float32) / 255.0

        def predict(clicks: Clicks, previous: Array) -> Array:
            outputs = module.apply({"params": params}, image, clicks, previous)
            return jax.nn.sigmoid(outputs.logits)

        said = simulate_user(
            key,
            predict,
            batch,
            max_first=max_first,
            max_rounds=max_rounds,
            no_click_prob=no_click_prob,
        )
        outputs = module.apply({"params": params}, image, said.clicks, said.prob)
        prob = jax.nn.sigmoid(outputs.logits)
        return Look(batch, said.clicks, prob, outputs.choices)

    return look
