"""One training step of a config, and where its time goes.

python benchmarks/training.py configs/quickstart.py
"""

import sys
from functools import partial

import jax
import jax.numpy as jnp
from throughput import draw
from unit import in_units

from mst_jax import train
from mst_jax.models.build import build
from mst_jax.structs import Clicks


def main() -> None:
    """Prints the time of forward, backward and the whole step, with drawn pixels."""
    config = train.read_config(["--config", *sys.argv[1:]])
    batch = draw(config)
    state, update, *_ = train.build_run(config)
    module = build(**config.model)
    image = batch.image / 255.0
    clicks = Clicks.empty(config.batch, num_slots=15)
    previous = jnp.zeros(batch.target.shape)

    def predict(params: dict) -> jax.Array:
        return module.apply({"params": params}, image, clicks, previous).logits

    forward = jax.jit(predict)
    backward = jax.jit(jax.grad(lambda params: jnp.square(predict(params)).mean()))
    rows = {
        "forward": in_units(partial(forward, state.params)),
        "forward and backward": in_units(partial(backward, state.params)),
    }
    held = [state]

    def step() -> jax.Array:
        held[0], metrics = update(held[0], batch)
        return metrics["loss"]

    # Rounds are drawn in each step, so the mean over several counts.
    rows["whole step"] = in_units(step, repeats=12)
    for name, (took, units) in rows.items():
        rate = config.batch / took
        print(f"{name:21} {took:.3f} s = {units:.2f} units, {rate:.0f} examples/s")


if __name__ == "__main__":
    main()
