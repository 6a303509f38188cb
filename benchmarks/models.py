"""Time full-size models on a 448x448 image, in units of `unit.py`.

python benchmarks/models.py [RECIPE ...]
"""

import sys
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array
from unit import measure_in_units

sys.path.append(str(Path(__file__).parents[1]))  # the configs are not installed

from configs.published import MODEL_LOSSES
from mst_jax.losses.total_loss import total_loss
from mst_jax.models.build import build
from mst_jax.models.load import parameter_shapes
from mst_jax.structs import Batch, Clicks, Outputs

IMAGE_SIDE = 448
NUM_CLICK_SLOTS = 51


def draw_examples(num_examples: int) -> tuple[Batch, Clicks, Array]:
    """Draw examples, clicks and empty previous masks; their content does not matter.

    Args:
        num_examples: Number of examples.
    """
    shape = (num_examples, IMAGE_SIDE, IMAGE_SIDE)
    rng = np.random.default_rng(0)
    batch = Batch(
        image=jnp.asarray(rng.random((*shape, 3)), jnp.float32),
        target=jnp.zeros(shape, bool).at[:, 100:300, 150:350].set(True),
        valid=jnp.ones(shape, bool),
        others=jnp.zeros(shape, bool),
    )
    label = np.full((num_examples, NUM_CLICK_SLOTS), -1)
    label[:, :3] = 1, 0, 1
    clicks = Clicks(
        yx=jnp.asarray(rng.uniform(150, 300, (*label.shape, 2)), jnp.float32),
        label=jnp.asarray(label),
    )
    return batch, clicks, jnp.zeros(shape)


def time_recipe(name: str) -> None:
    """Print the time of the forward pass (one image) and of a training step (two images).

    Args:
        name: Name of the recipe.
    """
    module = build(name, size="base")
    rng = np.random.default_rng(0)
    params = jax.tree.map(
        lambda leaf: jnp.asarray(0.02 * rng.normal(size=leaf.shape), jnp.float32),
        parameter_shapes(module),
    )

    def forward(
        params: dict, batch: Batch, clicks: Clicks, prev_mask: Array
    ) -> Outputs:
        outputs = module.apply({"params": params}, batch.image, clicks, prev_mask)
        assert isinstance(outputs, Outputs)
        return outputs

    def predict_logits(
        params: dict, batch: Batch, clicks: Clicks, prev_mask: Array
    ) -> Array:
        return forward(params, batch, clicks, prev_mask).logits

    def loss_of(params: dict, batch: Batch, clicks: Clicks, prev_mask: Array) -> Array:
        outputs = forward(params, batch, clicks, prev_mask)
        return total_loss(outputs, batch, losses=MODEL_LOSSES[name])[0]

    programs = {
        "forward": (jax.jit(predict_logits), 1),
        "step": (jax.jit(jax.value_and_grad(loss_of)), 2),
    }
    for program_name, (program, num_examples) in programs.items():
        run_program = partial(program, params, *draw_examples(num_examples))
        # Per image, so that programs of different batches compare.
        seconds, units = (cost / num_examples for cost in measure_in_units(run_program))
        print(
            f"{name:14} {program_name:8} {seconds:.2f} s = {units:.1f} units per image "
            f"(unit: {1000 * seconds / units:.0f} ms)",
            flush=True,
        )


if __name__ == "__main__":
    for recipe_name in sys.argv[1:] or MODEL_LOSSES:
        time_recipe(recipe_name)
