"""Some steps of a model in several layouts of eight devices, told as one line of JSON.

python -m tests.helpers.sharded_steps '{"name": "mst", ...}' one,copied,split 1e-3 WORKDIR

What was split is saved in WORKDIR, and must come back as copies. "nudged" is one device
again, whose parameters begin a part in ten million larger or smaller: what rounding does.
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
from mst_jax.clicks.encode import disk_maps
from mst_jax.data.batches import Batches
from mst_jax.layers.dropout import DropChannels
from mst_jax.models.build import build
from mst_jax.structs import Clicks, Outputs
from mst_jax.training import sharding
from mst_jax.training.resume import resume, without_params
from mst_jax.training.train_state import start_state
from mst_jax.training.train_step import make_step
from tests.helpers.tiny_models import recipe_losses, tiny_batch

NUM_STEPS, NUM_EXAMPLES = 3, 8


class Wide(nn.Module):
    """A model of pixels that compiles in seconds and is wide enough to be split."""

    crop: int = 32

    @nn.compact
    def __call__(self, image, clicks, previous, *, train=False):
        disks = jax.vmap(lambda one: disk_maps(one, *previous.shape[1:]))(clicks)
        x = jnp.concatenate([image, disks, previous[..., None]], axis=-1)
        x = nn.relu(nn.Dense(256, name="in")(x))
        x = nn.relu(nn.Dense(256, name="hidden")(x))
        x = DropChannels(0.25, name="drop")(x, train=train)
        return Outputs(nn.Dense(1, name="logits")(x)[..., 0])


def read_model(name, **recipe):
    """The module, and losses that depend on all examples of a batch."""
    if name == "wide":
        return Wide(**recipe), dict(normalized_focal=1.0, dice=0.5)
    losses = recipe_losses(name)
    if "token_contrast" in losses:
        losses["token_contrast"] = dict(weight=1.0, form="slim-448")
    return build(name, **recipe), losses


def layouts() -> dict[str, sharding.Layout]:
    split = ((".*", ("data", "model")),)
    alone = Mesh(np.array(jax.devices()[:1]).reshape(1, 1), sharding.AXES)
    return {
        "one": sharding.Layout(alone, "jit", sharding.COPIED),
        "nudged": sharding.Layout(alone, "jit", sharding.COPIED),
        "copied": sharding.make_layout(NUM_EXAMPLES),
        "split": sharding.make_layout(NUM_EXAMPLES, rules=split),
        "by four": sharding.make_layout(
            NUM_EXAMPLES,
            model=4,
            rules=(("(backbone|hidden)/.*", ("model",)), (".*", ())),
        ),
        "pmap": sharding.make_layout(NUM_EXAMPLES, step="pmap"),
    }


def bytes_held(tree) -> int:
    """Bytes of the arrays' shards on the fullest device."""
    held = collections.Counter()
    for leaf in jax.tree.leaves(tree):
        for shard in leaf.addressable_shards:
            held[shard.device] += shard.data.nbytes
    return max(held.values())


def nudge(params):
    """Each parameter larger or smaller by one part in ten million."""
    rng = np.random.default_rng(0)

    def nudge_one(leaf):
        return leaf * np.float32(1 + rng.choice([-1e-7, 1e-7], leaf.shape))

    return jax.tree.map(nudge_one, params)


def play(layout, module, losses, rate, crop, *, nudged=False) -> dict:
    """Losses, the parameters after the last step, bytes on a device."""
    # Gradients that are rounding alone, such as those of the keys' biases, must not become
    # whole steps: hence the epsilon.
    adam = optax.adam(rate, eps=1e-3)
    optimizer = optax.chain(optax.clip_by_global_norm(1.0), adam)
    update = make_step(
        module,
        optimizer,
        lambda _: rate,
        losses,
        max_first=2,
        max_rounds=2,
        no_click_prob=0.1,
    )
    given = (
        jnp.zeros((1, crop, crop, 3)),
        Clicks.empty(1, num_slots=1),
        jnp.zeros((1, crop, crop)),
    )

    def start(key):
        params = module.init(key, *given)["params"]
        return start_state(nudge(params) if nudged else params, optimizer, key)

    state, shardings = sharding.make_state(layout, start, jax.random.key(1))
    first = jax.device_get(state.params)
    held = bytes_held((state.params, state.optimizer))
    assert held == sharding.bytes_per_device((state.params, state.optimizer))
    step, rows = sharding.spread(layout, update, shardings), []
    for number in range(NUM_STEPS):
        batch = tiny_batch(NUM_EXAMPLES, side=crop, seed=number)
        batch = {
            name: np.asarray(x) for name, x in vars(batch).items() if x is not None
        }
        state, metrics = step(state, sharding.put_batch(layout, batch))
        rows.append({name: float(value) for name, value in metrics.items()})
    assert bytes_held((state.params, state.optimizer)) == held
    params = jax.device_get(state.params)
    return dict(rows=rows, first=first, params=params, bytes=held, state=state)


def save_and_restore(workdir, state, copied) -> None:
    """What is saved in parts must come back whole, on every device."""
    with store.open_checkpoints(workdir, num_kept=1) as manager:
        batches = Batches(grain.MapDataset.range(9), num_workers=0)
        rest = without_params(state)
        store.save(manager, NUM_STEPS, state.params, rest, batches)
        manager.wait_until_finished()
        found = resume(manager, copied, batches)
    assert all(x.sharding.is_fully_replicated for x in jax.tree.leaves(found.params))
    assert int(found.step) == NUM_STEPS
    for one, other in (
        (found.params, state.params),
        (found.optimizer, state.optimizer),
    ):
        assert largest(*jax.device_get((one, other))) == 0


def largest(one, other) -> float:
    differences = jax.tree.map(lambda a, b: np.abs(a - b).max(), one, other)
    return float(max(jax.tree.leaves(differences)))


def main() -> None:
    recipe = json.loads(sys.argv[1])
    names, rate = sys.argv[2].split(","), float(sys.argv[3])
    module, losses = read_model(**recipe)
    crop = recipe.get("crop", 32)
    played = {
        name: play(layout, module, losses, rate, crop, nudged=name == "nudged")
        for name, layout in layouts().items()
        if name in names
    }
    one = played["one"]
    save_and_restore(
        Path(sys.argv[4]), played["split"]["state"], played["copied"]["state"]
    )
    told = {
        name: dict(
            rows=found["rows"],
            apart=largest(found["params"], one["params"]),
            moved=largest(found["params"], found["first"]),
            bytes=found["bytes"],
        )
        for name, found in played.items()
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main()
