"""Alone everything is whole; the shares of one device are all there is."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mst_jax import collectives

FOUND = jnp.array([[True, False, False], [True, True, False]])


def test_outside_of_pmap_what_is_here_is_all():
    assert collectives.num_shares() == 1
    assert collectives.total({"a": 3}) == {"a": 3}
    np.testing.assert_array_equal(collectives.anywhere(FOUND), [True, True, False])
    key = jax.random.key(5)
    assert (collectives.split_key(key, 4) == jax.random.split(key, 4)).all()


@pytest.mark.parametrize("num_shares", [1, 2, 4])
def test_shares_become_whole(num_shares):
    """vmap with an axis name is what pmap is, on one device."""
    key = jax.random.key(5)
    rows = jnp.arange(8.0).reshape(num_shares, -1)
    found = jnp.zeros((8, 3), bool).at[2, 0].set(True).at[7, 2].set(True)

    def of_share(rows, found):
        keys = collectives.split_key(key, len(rows))
        return (
            collectives.total(rows.sum()),
            collectives.anywhere(found),
            collectives.own_share(jnp.arange(8.0)),
            jax.vmap(jax.random.uniform)(keys),
        )

    total, anywhere, own, drawn = jax.vmap(of_share, axis_name=collectives.EXAMPLES)(
        rows, found.reshape(num_shares, -1, 3)
    )
    np.testing.assert_array_equal(total, np.full(num_shares, 28.0))
    np.testing.assert_array_equal(anywhere, [[True, False, True]] * num_shares)
    np.testing.assert_array_equal(own, rows)
    alone = jax.vmap(jax.random.uniform)(jax.random.split(key, 8))
    np.testing.assert_array_equal(drawn.ravel(), alone)
