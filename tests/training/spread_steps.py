"""Some steps of a recipe in every layout of eight devices, as one line of JSON.

python -m tests.training.spread_steps '{"name": "mst", ...}', with eight devices.
"""

import json
import sys

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh

from mst_jax.models.build import build
from mst_jax.structs import Clicks
from mst_jax.training import sharding
from mst_jax.training.state import start_state
from mst_jax.training.step import make_step
from tests.models.tiny_recipes import recipe_losses, tiny_batch

NUM_STEPS, NUM_EXAMPLES = 3, 8

# Gradients that are rounding alone, such as those of the keys' biases, must not become
# whole steps: hence the epsilon.
OPTIMIZER = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(3e-3, eps=1e-3))


def layouts() -> dict[str, sharding.Layout]:
    split = ((".*", ("data", "model")),)
    alone = Mesh(np.array(jax.devices()[:1]).reshape(1, 1), sharding.AXES)
    return {
        "one": sharding.Layout(alone, "jit", sharding.COPIED),
        "copied": sharding.make_layout(NUM_EXAMPLES),
        "split": sharding.make_layout(NUM_EXAMPLES, rules=split),
        "by four": sharding.make_layout(
            NUM_EXAMPLES, model=4, rules=(("backbone/.*", ("model",)), (".*", ()))
        ),
        "pmap": sharding.make_layout(NUM_EXAMPLES, step="pmap"),
    }


def play(layout, module, losses, crop) -> dict:
    """Losses, the parameters after the last step, bytes on a device."""
    update = make_step(
        module,
        OPTIMIZER,
        lambda _: 3e-3,
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
        return start_state(module.init(key, *given)["params"], OPTIMIZER, key)

    state, shardings = sharding.make_state(layout, start, jax.random.key(1))
    first = jax.device_get(state.params)
    held = sharding.bytes_per_device((state.params, state.optimizer))
    step, rows = sharding.spread(layout, update, shardings), []
    for number in range(NUM_STEPS):
        batch = tiny_batch(NUM_EXAMPLES, side=crop, seed=number)
        batch = {name: np.asarray(x) for name, x in vars(batch).items()}
        state, metrics = step(state, sharding.put_batch(layout, batch))
        rows.append({name: float(value) for name, value in metrics.items()})
    assert sharding.bytes_per_device((state.params, state.optimizer)) == held
    return dict(rows=rows, first=first, params=jax.device_get(state.params), bytes=held)


def largest(one, other) -> float:
    differences = jax.tree.map(lambda a, b: np.abs(a - b).max(), one, other)
    return float(max(jax.tree.leaves(differences)))


def main() -> None:
    recipe = json.loads(sys.argv[1])
    names = sys.argv[2].split(",")
    losses = recipe_losses(recipe["name"])
    if "token_contrast" in losses:
        losses["token_contrast"] = dict(weight=1.0, form="slim-448")
    module = build(**recipe)
    played = {
        name: play(layout, module, losses, recipe["crop"])
        for name, layout in layouts().items()
        if name in names
    }
    one = played["one"]
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
