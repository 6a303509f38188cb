"""Plan the memory and the operations of a config for devices that are not here.

python benchmarks/plan.py configs/sbd.py:model=adaptiveclick,size=huge --devices 16

Nothing is trained and no large array is made: the bytes are those of the state's
shardings on a mesh without devices, the operations those that the compiler counts in
the program of one forward pass, before it is optimized.
"""

import argparse
import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import AbstractMesh

from mst_jax.config_options import call_with_options
from mst_jax.models.build import build
from mst_jax.models.click_model import ClickModel
from mst_jax.structs import Clicks
from mst_jax.training.config import TrainingOptions, check_config, read_config
from mst_jax.training.optimizer import make_optimizer
from mst_jax.training.sharding import (
    MESH_AXES,
    REPLICATED,
    ShardingLayout,
    state_shardings,
)
from mst_jax.training.telemetry import bytes_per_device
from mst_jax.training.train_state import TrainState, init_train_state

SHARDING_RULES = {"replicated": REPLICATED, "sharded": ((".*", MESH_AXES),)}


def main() -> None:
    """Print the bytes per device, replicated and sharded, and the FLOP of a step."""
    parser = argparse.ArgumentParser(prog="python benchmarks/plan.py")
    parser.add_argument("config", metavar="FILE")
    parser.add_argument("--devices", type=int, default=8)
    command_flags = parser.parse_args()
    options = check_config(read_config(["--config", command_flags.config]))
    module = call_with_options(build, "config.model", **options.model)
    inputs = single_example(options)
    state = state_shapes(module, options, inputs)
    num_params = sum(leaf.size for leaf in jax.tree.leaves(state.params))
    print(
        print(
            f"{command_flags.config}, {command_flags.devices} devices: "
            f"{num_params:,} parameters"
        )
    )
    # All devices along the axis `data`: fully sharded data parallelism.
    device_mesh = AbstractMesh((command_flags.devices, 1), MESH_AXES)
    for name, rules in SHARDING_RULES.items():
        params, opt_state = place_shapes(
            ShardingLayout(device_mesh, "jit", rules), state
        )
        param_bytes = bytes_per_device(params)
        state_bytes = bytes_per_device((params, opt_state))
        print(
            f"{name:10}: {state_bytes / 1e9:6.3f} GB per device, "
            f"{param_bytes / 1e9:.3f} of them parameters"
        )
    jitted_forward = jax.jit(functools.partial(predict_logits, module))
    # Lowered, not compiled: the operations of the program as it is written.
    cost_analysis: Any = jitted_forward.lower(state.params, *inputs).cost_analysis()
    forward_flops = cost_analysis["flops"]
    # A backward pass costs two forward passes, with its own forward pass three; on
    # average half of the rounds are run.
    num_forward_passes = options.clicks.max_rounds / 2 + 3
    print(
        f"forward: {forward_flops / 1e12:.3f} TFLOP per example; a step has "
        f"{num_forward_passes:g} of them for each of {options.batch} examples"
    )


def single_example(options: TrainingOptions) -> tuple[jax.Array, Clicks, jax.Array]:
    """Return the inputs of a forward pass for one example, with all click slots."""
    shape = (1, options.crop, options.crop)
    clicks = Clicks.empty(1, num_slots=options.clicks.num_slots)
    return jnp.zeros((*shape, 3)), clicks, jnp.zeros(shape)


def state_shapes(
    module: ClickModel, options: TrainingOptions, inputs: tuple
) -> TrainState:
    """Return the shapes of the first state; nothing is computed."""
    optimizer, _ = make_optimizer(options.optimizer, num_steps=options.steps)

    def init_state(key: jax.Array) -> TrainState:
        params: Any = module.init(key, *inputs)["params"]
        return init_train_state(params, optimizer, key)

    return jax.eval_shape(init_state, jax.random.key(0))


def place_shapes(layout: ShardingLayout, state: TrainState) -> tuple[Any, Any]:
    """Return the shapes of parameters and optimizer state with their shardings."""
    shardings = state_shardings(layout, state)
    return jax.tree.map(
        lambda leaf, sharding: jax.ShapeDtypeStruct(
            leaf.shape, leaf.dtype, sharding=sharding
        ),
        (state.params, state.opt_state),
        (shardings.params, shardings.opt_state),
    )


def predict_logits(module: ClickModel, params: Any, *inputs: Any) -> jax.Array:
    """Return the logits of a forward pass."""
    outputs: Any = module.apply({"params": params}, *inputs)
    return outputs.logits


if __name__ == "__main__":
    main()
