"""What a config would ask of machines that are not here: bytes and operations, by shapes.

python benchmarks/plan.py configs/sbd.py:model=adaptiveclick,size=huge --devices 16

Nothing is trained and no large array is made: bytes are those of the state's shardings on a
mesh without devices, operations those that the compiler counts in the program of one
forward pass, before it is optimised.
"""

import argparse
import functools

import jax
import jax.numpy as jnp
from jax.sharding import AbstractMesh

from mst_jax.models.build import build
from mst_jax.structs import Clicks
from mst_jax.training.config import read_config
from mst_jax.training.optimizer import make_optimizer
from mst_jax.training.sharding import (
    AXES,
    COPIED,
    Layout,
    bytes_per_device,
    shardings_of,
)
from mst_jax.training.train_state import start_state

SPLIT = ((".*", AXES),)


def main() -> None:
    """Prints bytes a device, copied and split, and the operations of a step."""
    parser = argparse.ArgumentParser(prog="python benchmarks/plan.py")
    parser.add_argument("config", metavar="FILE")
    parser.add_argument("--devices", type=int, default=8)
    options = parser.parse_args()
    config = read_config(["--config", options.config])
    module = build(**config.model.to_dict())
    optimizer, _ = make_optimizer(config.steps, **config.optimizer)
    shape = (1, config.crop, config.crop)
    num_slots = 2 * config.clicks.max_first + config.clicks.max_rounds
    given = (
        jnp.zeros((*shape, 3)),
        Clicks.empty(1, num_slots=num_slots),
        jnp.zeros(shape),
    )

    def start(key: jax.Array) -> object:
        return start_state(module.init(key, *given)["params"], optimizer, key)

    state = jax.eval_shape(start, jax.random.key(0))
    count = sum(leaf.size for leaf in jax.tree.leaves(state.params))
    print(f"{options.config}, {options.devices} devices: {count:,} parameters")
    mesh = AbstractMesh((options.devices, 1), AXES)
    for name, rules in (("copied", COPIED), ("split", SPLIT)):
        shardings = shardings_of(Layout(mesh, "jit", rules), state)
        placed = jax.tree.map(
            lambda leaf, sharding: jax.ShapeDtypeStruct(
                leaf.shape, leaf.dtype, sharding=sharding
            ),
            (state.params, state.optimizer),
            (shardings.params, shardings.optimizer),
        )
        params, both = (bytes_per_device(tree) for tree in (placed[0], placed))
        print(
            f"{name:6}: {both / 1e9:6.3f} GB a device, {params / 1e9:.3f} of them params"
        )
    forward = jax.jit(functools.partial(_forward, module))
    cost = forward.lower(state.params, *given).cost_analysis()
    rounds = config.clicks.max_rounds / 2
    print(
        f"forward: {cost['flops'] / 1e12:.3f} TFLOP an example; a step has {rounds + 3:g} "
        f"of them for each of {config.batch} examples"
    )


def _forward(module: object, params: dict, *given: object) -> jax.Array:
    return module.apply({"params": params}, *given).logits


if __name__ == "__main__":
    main()
