import jax.numpy as jnp
import numpy as np

from mst_jax.training.microbatch import join, map_parts, split, sum_parts

ROWS = jnp.arange(6.0)[:, None] * jnp.ones((1, 2))


def test_a_part_takes_every_nth_example():
    np.testing.assert_array_equal(split(ROWS, 2)[..., 0], [[0, 2, 4], [1, 3, 5]])
    np.testing.assert_array_equal(split(ROWS, 3)[..., 0], [[0, 3], [1, 4], [2, 5]])
    np.testing.assert_array_equal(join(split(ROWS, 3)), ROWS)


def test_what_is_said_of_the_parts_comes_back_in_order():
    for num in (1, 2, 3, 6):
        said = map_parts(lambda x, y: {"sum": (x + y).sum(-1)}, num, ROWS, ROWS)
        np.testing.assert_array_equal(said["sum"], [0, 4, 8, 12, 16, 20])


def test_sums_over_the_parts_and_their_numbers():
    def weigh(number, x):
        assert x.shape == (3, 2)
        return {"weighed": (1 + number) * x.sum(), "number": number}

    # Examples 0 2 4 once and 1 3 5 twice, in two columns.
    assert sum_parts(weigh, 2, ROWS) == {"weighed": 2 * 6 + 4 * 9, "number": 1}
    assert sum_parts(lambda number, x: x.sum() + number, 1, ROWS) == 30
