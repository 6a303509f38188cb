"""Full-size models on a 448 picture: forward and training step, in units of `unit.py`.

python benchmarks/models.py [RECIPE ...]
"""

import sys
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from unit import in_units

from mst_jax.losses.total_loss import total_loss
from mst_jax.models.build import build
from mst_jax.models.load import shapes_of_params
from mst_jax.models.recipes import LOSSES
from mst_jax.structs import Batch, Clicks, Outputs

SIDE = 448


def draw(num_examples: int) -> tuple[Batch, Clicks, jax.Array]:
    """Examples, clicks and previous masks; what they show does not matter."""
    shape = (num_examples, SIDE, SIDE)
    rng = np.random.default_rng(0)
    batch = Batch(
        image=jnp.asarray(rng.random((*shape, 3)), jnp.float32),
        target=jnp.zeros(shape, bool).at[:, 100:300, 150:350].set(True),
        valid=jnp.ones(shape, bool),
        others=jnp.zeros(shape, bool),
    )
    label = np.full((num_examples, 51), -1)
    label[:, :3] = 1, 0, 1
    clicks = Clicks(
        yx=jnp.asarray(rng.uniform(150, 300, (*label.shape, 2)), jnp.float32),
        label=jnp.asarray(label),
    )
    return batch, clicks, jnp.zeros(shape)


def time_recipe(name: str) -> None:
    """Prints forward (one picture) and forward with backward (two pictures)."""
    module = build(name, size="base")
    rng = np.random.default_rng(0)
    params = jax.tree.map(
        lambda leaf: jnp.asarray(0.02 * rng.normal(size=leaf.shape), jnp.float32),
        shapes_of_params(module),
    )

    def look(
        params: dict, batch: Batch, clicks: Clicks, previous: jax.Array
    ) -> Outputs:
        return module.apply({"params": params}, batch.image, clicks, previous)

    def loss_of(params: dict, batch: Batch, *said: jax.Array) -> jax.Array:
        return total_loss(look(params, batch, *said), batch, losses=LOSSES[name])[0]

    programs = {
        "forward": (jax.jit(lambda *given: look(*given).logits), 1),
        "step": (jax.jit(jax.value_and_grad(loss_of)), 2),
    }
    for what, (program, num_examples) in programs.items():
        call = partial(program, params, *draw(num_examples))
        took, units = (cost / num_examples for cost in in_units(call))
        print(
            f"{name:14} {what:8} {took:.2f} s = {units:.1f} units a picture "
            f"(unit: {1000 * took / units:.0f} ms)",
            flush=True,
        )


if __name__ == "__main__":
    for recipe in sys.argv[1:] or LOSSES:
        time_recipe(recipe)
