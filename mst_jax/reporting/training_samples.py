"""Run a model on a few training examples, to visualize its predictions."""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from mst_jax.structs import Batch, Clicks, TokenSelectionOutput, pytree_dataclass
from mst_jax.training.train_step import ClickSimulationOptions, simulate_clicks


@pytree_dataclass
class VisualizationBatch:
    """Training examples with the model's predictions.

    Attributes:
        batch: [b] examples.
        clicks: [b k] simulated clicks.
        prob: [b h w] predicted probability, 0 to 1.
        selections: Tokens that each token selection has selected; empty for a model
            without token selection.
    """

    batch: Batch
    clicks: Clicks
    prob: Float[Array, "b h w"]
    selections: tuple[TokenSelectionOutput, ...]


# (params, batch, PRNG key) -> examples with predictions
VisualizationFn = Callable[[dict[str, Any], Batch, PRNGKeyArray], VisualizationBatch]


def make_visualization_fn(
    module: nn.Module, click_options: ClickSimulationOptions
) -> VisualizationFn:
    """Make a jitted function that predicts examples after simulated clicks.

    Args:
        module: The model.
        click_options: Options of the simulated clicks; the user clicks as in training.

    Returns:
        Function of the parameters, a batch and a PRNG key. The model runs in inference
        mode, without dropout.
    """

    @jax.jit
    def predict_examples(
        params: dict[str, Any], batch: Batch, random_key: PRNGKeyArray
    ) -> VisualizationBatch:
        image = batch.image.astype(jnp.float32) / 255.0

        def predict_prob(clicks: Clicks, prev_mask: Array) -> Array:
            model_outputs: Any = module.apply(
                {"params": params}, image, clicks, prev_mask
            )
            return jax.nn.sigmoid(model_outputs.logits)

        # 1. Simulated clicks, as in a training step.
        click_result = simulate_clicks(random_key, predict_prob, batch, click_options)
        # 2. The prediction that a training step would compute the loss of.
        model_outputs: Any = module.apply(
            {"params": params}, image, click_result.clicks, click_result.prob
        )
        final_prob = jax.nn.sigmoid(model_outputs.logits)
        return VisualizationBatch(
            batch, click_result.clicks, final_prob, model_outputs.selections
        )

    return predict_examples
