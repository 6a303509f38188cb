"""Where arrays lie, on meshes without devices; steps on eight devices."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import AbstractMesh, PartitionSpec

from mst_jax.training import sharding
from mst_jax.training.train_state import start_state

BOTH = ("data", "model")


def layout_of(rules, *, data=4, model=2, step="jit"):
    return sharding.Layout(AbstractMesh((data, model), sharding.AXES), step, rules)


@pytest.mark.parametrize(
    ("shape", "num", "axis"),
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
def test_the_largest_axis_that_can_be_is_split(shape, num, axis):
    assert sharding.split_axis(shape, num) == axis


PARAMS = {
    "embed": {"kernel": np.zeros((16, 16, 3, 64)), "bias": np.zeros(64)},
    "head": {"kernel": np.zeros((64, 8)), "wide": np.zeros((64, 8192))},
}


def specs_of(rules, state=None, **mesh):
    state = state or start_state(PARAMS, optax.identity(), jax.random.key(0))
    placed = sharding.shardings_of(layout_of(rules, **mesh), state)
    return jax.tree.map(lambda place: place.spec, placed)


def test_parameters_lie_as_the_first_rule_says():
    rules = (("embed/.*", ("model",)), (".*/wide", BOTH), (".*", ()))
    specs = specs_of(rules)
    assert specs.params == {
        "embed": {
            "kernel": PartitionSpec(None, None, None, ("model",)),
            "bias": PartitionSpec(),
        },
        "head": {"kernel": PartitionSpec(), "wide": PartitionSpec(None, BOTH)},
    }
    assert specs.step == specs.key == PartitionSpec()


def test_the_state_follows_its_parameters_however_it_is_packed():
    """Clipped, masked and partitioned Adam, and an average: each mean as its parameter."""
    adam = optax.masked(
        optax.adam(1.0), {"embed": True, "head": {"kernel": False, "wide": True}}
    )
    kinds = {"embed": "a", "head": "b"}
    optimizer = optax.chain(
        optax.clip_by_global_norm(1.0),
        optax.partition(
            {"a": optax.adam(1.0), "b": optax.sgd(0.1, momentum=0.9)}, kinds
        ),
        adam,
    )
    state = start_state(PARAMS, optimizer, jax.random.key(0), averages=True)
    specs = specs_of(((".*", BOTH),), state)
    assert specs.average == specs.params
    wide, kernel = PartitionSpec(None, BOTH), PartitionSpec(None, None, None, BOTH)
    found = [
        spec for spec in jax.tree.leaves(specs.optimizer) if spec != PartitionSpec()
    ]
    assert found.count(wide) == 3 and found.count(kernel) == 4 and len(found) == 7


def test_a_share_of_the_bytes_lies_on_a_device():
    state = jax.eval_shape(
        lambda: start_state(
            {"wide": jnp.zeros((64, 8192)), "bias": jnp.zeros(16)},
            optax.adam(1.0),
            jax.random.key(0),
        )
    )

    def held(rules):
        placed = sharding.shardings_of(layout_of(rules), state)
        leaves = jax.tree.map(
            lambda x, place: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=place),
            (state.params, state.optimizer),
            (placed.params, placed.optimizer),
        )
        return sharding.bytes_per_device(leaves)

    # Three copies of 64 * 8192 numbers and of 16, and Adam's count.
    assert held(((".*", ()),)) == 4 * (3 * 64 * 8192 + 3 * 16 + 1)
    assert held(((".*", BOTH),)) == 4 * (3 * 64 * 1024 + 3 * 16 + 1)
    assert held(((".*", ("model",)),)) == 4 * (3 * 64 * 4096 + 3 * 16 + 1)


@pytest.mark.parametrize(
    ("rules", "step", "sentence"),
    [
        ((("embed/.*", ()),), "jit", r"parallel\.rules has no rule for head/kernel"),
        (((".*", "data"),), "jit", "has the value 'data', expected mesh axes"),
        (((".*", ("host",)),), "jit", r"has the value \('host',\), expected mesh axes"),
        (((".*", ("data",)),), "pmap", "every device has the whole state"),
        ((".*",), "jit", "is no rule"),
    ],
)
def test_wrong_rules_are_one_sentence(rules, step, sentence):
    with pytest.raises(ValueError, match=sentence):
        specs_of(rules, step=step)


@pytest.mark.parametrize(
    ("block", "sentence"),
    [
        (
            {"step": "shard_map"},
            "parallel.step is 'shard_map', expected 'jit' or 'pmap'",
        ),
        ({"model": 3}, "parallel.model is 3, expected a number that divides the 1 dev"),
        ({"model": -1}, "parallel.model is -1, expected"),
    ],
)
def test_wrong_blocks_are_one_sentence(block, sentence):
    with pytest.raises(ValueError, match=sentence):
        sharding.make_layout(8, **block)


def test_arrays_that_everyone_has_are_put_where_they_belong():
    place = sharding.make_layout(1).copied
    there = jax.device_put(jnp.arange(3), place)
    put = sharding.put({"a": np.arange(4.0), "b": there}, {"a": place, "b": place})
    np.testing.assert_array_equal(put["a"], np.arange(4.0))
    assert put["a"].sharding == place and put["b"] is there
