"""Shardings on meshes without devices; steps on eight devices: test_sharded_steps."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import AbstractMesh, PartitionSpec

from mst_jax.training import sharding, telemetry
from mst_jax.training.sharding import ShardingOptions
from mst_jax.training.train_state import init_train_state

BOTH_AXES = ("data", "model")


def layout_of(rules, *, data_size=4, model_size=2, transform="jit"):
    mesh = AbstractMesh((data_size, model_size), sharding.MESH_AXES)
    return sharding.ShardingLayout(mesh, transform, rules)


@pytest.mark.parametrize(
    ("shape", "num_shards", "axis"),
    [
        ((768, 3072), 8, 1),
        ((3072, 768), 8, 0),
        ((64, 64), 8, 1),
        ((3, 12, 64, 768), 8, 3),
        ((1001, 100, 16), 8, 2),  # 1001 is the largest, 16 the largest that fits
        ((1001, 1003), 8, None),
        ((4096,), 8, 0),
        ((4088,), 8, None),  # too small
        ((), 8, None),
        ((768, 3072), 1, None),
    ],
)
def test_the_largest_divisible_axis_is_sharded(shape, num_shards, axis):
    assert sharding.axis_to_shard(shape, num_shards) == axis


PARAMS = {
    "embed": {"kernel": np.zeros((16, 16, 3, 64)), "bias": np.zeros(64)},
    "head": {"kernel": np.zeros((64, 8)), "wide": np.zeros((64, 8192))},
}


def specs_of(rules, state=None, **layout_options):
    """Return the partition specs of a state's arrays."""
    state = state or init_train_state(PARAMS, optax.identity(), jax.random.key(0))
    layout = layout_of(rules, **layout_options)
    return jax.tree.map(lambda s: s.spec, sharding.state_shardings(layout, state))


def test_parameters_are_sharded_by_the_first_matching_rule():
    rules = (("embed/.*", ("model",)), (".*/wide", BOTH_AXES), (".*", ()))
    specs = specs_of(rules)
    assert specs.params == {
        "embed": {
            "kernel": PartitionSpec(None, None, None, ("model",)),
            "bias": PartitionSpec(),
        },
        "head": {"kernel": PartitionSpec(), "wide": PartitionSpec(None, BOTH_AXES)},
    }
    assert specs.step == specs.key == PartitionSpec()


def test_optimizer_state_and_averages_are_sharded_like_the_parameters():
    """Clipped, masked and partitioned Adam, and a moving average."""
    masked_adam = optax.masked(
        optax.adam(1.0), {"embed": True, "head": {"kernel": False, "wide": True}}
    )
    transforms = {"a": optax.adam(1.0), "b": optax.sgd(0.1, momentum=0.9)}
    optimizer = optax.chain(
        optax.clip_by_global_norm(1.0),
        optax.partition(transforms, {"embed": "a", "head": "b"}),
        masked_adam,
    )
    state = init_train_state(PARAMS, optimizer, jax.random.key(0), with_ema=True)
    specs = specs_of(((".*", BOTH_AXES),), state)
    assert specs.ema_params == specs.params
    wide = PartitionSpec(None, BOTH_AXES)
    kernel = PartitionSpec(None, None, None, BOTH_AXES)
    sharded = [
        spec for spec in jax.tree.leaves(specs.opt_state) if spec != PartitionSpec()
    ]
    assert sharded.count(wide) == 3 and sharded.count(kernel) == 4
    assert len(sharded) == 7


def test_bytes_per_device():
    state = jax.eval_shape(
        lambda: init_train_state(
            {"wide": jnp.zeros((64, 8192)), "bias": jnp.zeros(16)},
            optax.adam(1.0),
            jax.random.key(0),
        )
    )

    def bytes_with(rules):
        shardings = sharding.state_shardings(layout_of(rules), state)
        leaves = jax.tree.map(
            lambda x, s: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=s),
            (state.params, state.opt_state),
            (shardings.params, shardings.opt_state),
        )
        return telemetry.bytes_per_device(leaves)

    # Three copies of 64 * 8192 numbers and of 16, and Adam's count.
    assert bytes_with(((".*", ()),)) == 4 * (3 * 64 * 8192 + 3 * 16 + 1)
    assert bytes_with(((".*", BOTH_AXES),)) == 4 * (3 * 64 * 1024 + 3 * 16 + 1)
    assert bytes_with(((".*", ("model",)),)) == 4 * (3 * 64 * 4096 + 3 * 16 + 1)


@pytest.mark.parametrize(
    ("rules", "transform", "sentence"),
    [
        ((("embed/.*", ()),), "jit", r"sharding\.rules has no rule for head/kernel"),
        (((".*", "data"),), "jit", "has the value 'data', expected mesh axes"),
        (((".*", ("host",)),), "jit", r"has the value \('host',\), expected mesh axes"),
        (((".*", ("data",)),), "pmap", "every device has the whole state"),
        ((".*",), "jit", "is not a rule"),
    ],
)
def test_wrong_rules_are_one_sentence(rules, transform, sentence):
    with pytest.raises(ValueError, match=sentence):
        specs_of(rules, transform=transform)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (
            {"transform": "shard_map"},
            "transform is 'shard_map', expected 'jit' or 'pmap'",
        ),
        (
            {"model_axis_size": 3},
            "model_axis_size is 3, expected a number that divides the 1 dev",
        ),
        ({"model_axis_size": -1}, "model_axis_size is -1, expected"),
    ],
)
def test_wrong_options_are_one_sentence(options, sentence):
    with pytest.raises(ValueError, match=sentence):
        sharding.make_sharding_layout(ShardingOptions(**options), num_examples=8)


def test_arrays_are_placed_on_the_devices_of_their_shardings():
    layout = sharding.make_sharding_layout(ShardingOptions(), num_examples=1)
    replicated = layout.replicated
    placed = jax.device_put(jnp.arange(3), replicated)
    tree = sharding.shard_tree(
        {"a": np.arange(4.0), "b": placed}, {"a": replicated, "b": replicated}
    )
    np.testing.assert_array_equal(tree["a"], np.arange(4.0))
    assert tree["a"].sharding == replicated and tree["b"] is placed
