"""Measure one training step of a config, and its forward and backward pass.

python benchmarks/training.py configs/quickstart.py
"""

import sys
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from throughput import draw_batch
from unit import measure_in_units

from mst_jax.compilation_cache import enable_compilation_cache
from mst_jax.structs import Clicks
from mst_jax.training.config import read_config
from mst_jax.training.training_run import build_run


def main() -> None:
    """Print the times of the forward pass, the backward pass and the whole step."""
    enable_compilation_cache()
    config = read_config(["--config", *sys.argv[1:]])
    run = build_run(config)
    options = run.options
    batch = draw_batch(options.batch, options.crop)
    image = jnp.asarray(batch.image) / 255.0
    clicks = Clicks.empty(options.batch, num_slots=15)
    prev_mask = jnp.zeros(batch.target.shape)

    def predict_logits(params: Any) -> jax.Array:
        outputs: Any = run.module.apply({"params": params}, image, clicks, prev_mask)
        return outputs.logits

    # The square is a loss that no gradient can skip.
    jitted_forward = jax.jit(predict_logits)
    jitted_backward = jax.jit(
        jax.grad(lambda params: jnp.square(predict_logits(params)).mean())
    )
    measured_times = {
        "forward": measure_in_units(partial(jitted_forward, run.state.params)),
        "forward and backward": measure_in_units(
            partial(jitted_backward, run.state.params)
        ),
    }
    # The step reuses the memory of the state that it is given: keep the newest only.
    newest_state = [run.state]

    def step_loss() -> jax.Array:
        newest_state[0], metrics = run.train_step(newest_state[0], batch)
        return metrics["loss"]

    # The number of rounds differs from step to step: the median over more steps.
    measured_times["whole step"] = measure_in_units(step_loss, repeats=12)
    for name, (call_seconds, num_units) in measured_times.items():
        examples_per_second = options.batch / call_seconds
        print(
            f"{name:21} {call_seconds:.3f} s = {num_units:.2f} units, "
            f"{examples_per_second:.0f} examples/s"
        )


if __name__ == "__main__":
    main()
