"""Collectives outside of `pmap` and on the shards of a batch."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mst_jax import collectives

FOUND = jnp.array([[True, False, False], [True, True, False]])


def test_outside_of_pmap_the_local_batch_is_the_whole_batch():
    assert collectives.num_batch_shards() == 1
    assert collectives.sum_over_shards({"a": 3}) == {"a": 3}
    found = collectives.any_across_devices(FOUND)
    np.testing.assert_array_equal(found, [True, True, False])
    key = jax.random.key(5)
    keys = collectives.split_key_per_example(key, 4)
    assert (keys == jax.random.split(key, 4)).all()


@pytest.mark.parametrize("num_shards", [1, 2, 4])
def test_shards_give_the_results_of_the_whole_batch(num_shards):
    """On one device, vmap with an axis name has the semantics of pmap."""
    key = jax.random.key(5)
    rows = jnp.arange(8.0).reshape(num_shards, -1)
    found = jnp.zeros((8, 3), bool).at[2, 0].set(True).at[7, 2].set(True)

    def run_on_shard(rows, found):
        keys = collectives.split_key_per_example(key, len(rows))
        return (
            collectives.sum_over_shards(rows.sum()),
            collectives.any_across_devices(found),
            collectives.local_shard(jnp.arange(8.0)),
            jax.vmap(jax.random.uniform)(keys),
        )

    run_on_shards = jax.vmap(run_on_shard, axis_name=collectives.BATCH_AXIS)
    total, any_found, local_rows, samples = run_on_shards(
        rows, found.reshape(num_shards, -1, 3)
    )
    np.testing.assert_array_equal(total, np.full(num_shards, 28.0))
    np.testing.assert_array_equal(any_found, [[True, False, True]] * num_shards)
    np.testing.assert_array_equal(local_rows, rows)
    whole_batch = jax.vmap(jax.random.uniform)(jax.random.split(key, 8))
    np.testing.assert_array_equal(samples.ravel(), whole_batch)
