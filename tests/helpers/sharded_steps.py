"""Run some steps of a model in several layouts of eight devices; print one JSON line.

python -m tests.helpers.sharded_steps '{"name": "mst", ...}' LAYOUTS 1e-3 WORKDIR

LAYOUTS are names of `make_layouts`, such as one,replicated,sharded. The sharded state
is saved in WORKDIR and must be restored replicated. "perturbed" is one device again,
whose parameters start a part in ten million larger or smaller: the effect of rounding.
"""

import collections
import json
import sys
from pathlib import Path

import flax.linen as nn
import grain
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh

from mst_jax.checkpoints import store
from mst_jax.clicks.encode import click_disk_maps
from mst_jax.data.batch_iterator import BatchIterator
from mst_jax.layers.dropout import ChannelDropout
from mst_jax.models.build import build
from mst_jax.structs import Outputs
from mst_jax.training import sharding, telemetry, training_run
from mst_jax.training.sharding import ShardingOptions
from mst_jax.training.train_state import init_train_state, restore_latest, resume_tree
from mst_jax.training.train_step import ClickSimulationOptions, make_train_step
from mst_jax.training.training_run import example_inputs
from tests.helpers.tiny_models import published_losses, tiny_batch

NUM_STEPS, NUM_EXAMPLES = 3, 8


class WidePixelModel(nn.Module):
    """A model of pixels that compiles in seconds and is wide enough to be sharded."""

    crop: int = 32

    @nn.compact
    def __call__(self, image, clicks, prev_mask, *, train=False):
        disk_maps = jax.vmap(lambda c: click_disk_maps(c, *prev_mask.shape[1:]))(clicks)
        x = jnp.concatenate([image, disk_maps, prev_mask[..., None]], axis=-1)
        x = nn.relu(nn.Dense(256, name="in")(x))
        x = nn.relu(nn.Dense(256, name="hidden")(x))
        x = ChannelDropout(0.25, name="drop")(x, train=train)
        return Outputs(nn.Dense(1, name="logits")(x)[..., 0])


def build_model(name, **model_options):
    """Return the module, and losses that depend on all examples of a batch."""
    if name == "wide":
        return WidePixelModel(**model_options), dict(normalized_focal=1.0, dice=0.5)
    losses = published_losses(name)
    if "token_contrast" in losses:
        losses["token_contrast"] = dict(weight=1.0, form="slim-448")
    return build(name, **model_options), losses


def make_layouts() -> dict[str, sharding.ShardingLayout]:
    """Return the layouts of eight devices by name."""
    one_device = Mesh(np.array(jax.devices()[:1]).reshape(1, 1), sharding.MESH_AXES)
    one_layout = sharding.ShardingLayout(one_device, "jit", sharding.REPLICATED)
    by_four = (("(backbone|hidden)/.*", ("model",)), (".*", ()))

    def layout_of(**options):
        return sharding.make_sharding_layout(
            ShardingOptions(**options), num_examples=NUM_EXAMPLES
        )

    return {
        "one": one_layout,
        "perturbed": one_layout,
        "replicated": layout_of(),
        "sharded": layout_of(rules=((".*", ("data", "model")),)),
        "by four": layout_of(model_axis_size=4, rules=by_four),
        "pmap": layout_of(transform="pmap"),
    }


def count_bytes(tree) -> int:
    """Return the bytes of the arrays' shards on the fullest device."""
    num_bytes = collections.Counter()
    for leaf in jax.tree.leaves(tree):
        for shard in leaf.addressable_shards:
            num_bytes[shard.device] += shard.data.nbytes
    return max(num_bytes.values())


def perturb(params):
    """Make each parameter larger or smaller by one part in ten million."""
    rng = np.random.default_rng(0)

    def perturb_leaf(leaf):
        return leaf * np.float32(1 + rng.choice([-1e-7, 1e-7], leaf.shape))

    return jax.tree.map(perturb_leaf, params)


def run_steps(
    layout, module, losses, learning_rate, crop, *, is_perturbed=False
) -> dict:
    """Return the metrics of each step, the parameters, and the bytes on a device."""
    # Gradients that are rounding alone, such as those of the keys' biases, must not
    # become whole steps: hence the epsilon.
    adam = optax.adam(learning_rate, eps=1e-3)
    optimizer = optax.chain(optax.clip_by_global_norm(1.0), adam)
    train_step = make_train_step(
        module,
        optimizer,
        lambda _: learning_rate,
        losses,
        ClickSimulationOptions(max_initial=2, max_rounds=2, no_click_prob=0.1),
    )
    inputs = example_inputs(crop)

    def init_state(key):
        params = module.init(key, *inputs)["params"]
        params = perturb(params) if is_perturbed else params
        return init_train_state(params, optimizer, key)

    key = jax.random.key(1)
    shardings = sharding.state_shardings(layout, jax.eval_shape(init_state, key))
    state = sharding.init_sharded_state(shardings, init_state, key)
    first_params = jax.device_get(state.params)
    num_bytes = count_bytes((state.params, state.opt_state))
    assert num_bytes == telemetry.bytes_per_device((state.params, state.opt_state))
    compiled_step = training_run.compile_step(layout, train_step, shardings)
    rows = []
    for step in range(NUM_STEPS):
        batch = tiny_batch(NUM_EXAMPLES, side=crop, seed=step)
        batch = {
            name: np.asarray(x) for name, x in vars(batch).items() if x is not None
        }
        state, metrics = compiled_step(state, sharding.shard_batch(layout, batch))
        rows.append({name: float(value) for name, value in metrics.items()})
    assert count_bytes((state.params, state.opt_state)) == num_bytes
    params = jax.device_get(state.params)
    return dict(
        rows=rows,
        first_params=first_params,
        params=params,
        num_bytes=num_bytes,
        state=state,
    )


def check_restored_replicated(workdir, sharded_state, replicated_state) -> None:
    """Save a sharded state and restore it whole, on every device."""
    with store.open_checkpoints(workdir, keep_checkpoints=1) as manager:
        batches = BatchIterator(grain.MapDataset.range(9), num_workers=0)
        tree = resume_tree(sharded_state)
        store.save_checkpoint(manager, NUM_STEPS, sharded_state.params, tree, batches)
        manager.wait_until_finished()
        restored = restore_latest(manager, replicated_state, batches)
    leaves = jax.tree.leaves(restored.params)
    assert all(leaf.sharding.is_fully_replicated for leaf in leaves)
    assert int(restored.step) == NUM_STEPS
    for restored_tree, saved_tree in (
        (restored.params, sharded_state.params),
        (restored.opt_state, sharded_state.opt_state),
    ):
        assert max_difference(*jax.device_get((restored_tree, saved_tree))) == 0


def max_difference(first_tree, second_tree) -> float:
    """Return the maximum absolute difference of two trees of arrays."""
    differences = jax.tree.map(
        lambda first, second: np.abs(first - second).max(), first_tree, second_tree
    )
    return float(max(jax.tree.leaves(differences)))


def main() -> None:
    """Run the steps in each layout and print how they differ from one device."""
    model_options = json.loads(sys.argv[1])
    names, learning_rate = sys.argv[2].split(","), float(sys.argv[3])
    module, losses = build_model(**model_options)
    crop = model_options.get("crop", 32)
    results = {
        name: run_steps(
            layout,
            module,
            losses,
            learning_rate,
            crop,
            is_perturbed=name == "perturbed",
        )
        for name, layout in make_layouts().items()
        if name in names
    }
    check_restored_replicated(
        Path(sys.argv[4]), results["sharded"]["state"], results["replicated"]["state"]
    )
    one_device = results["one"]
    summary = {
        name: dict(
            rows=result["rows"],
            difference=max_difference(result["params"], one_device["params"]),
            change=max_difference(result["params"], result["first_params"]),
            num_bytes=result["num_bytes"],
        )
        for name, result in results.items()
    }
    print(json.dumps(summary))


if __name__ == "__main__":
    main()
