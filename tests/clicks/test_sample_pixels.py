import functools
import re

import jax
import jax.numpy as jnp
import numpy as np

from mst_jax.clicks.sample_pixels import sample_pixels


def test_samples_are_uniform_over_the_allowed_pixels():
    allowed = np.array([[0, 0, 0, 0], [1, 0, 0, 1], [0, 0, 0, 0], [0, 1, 1, 1]], bool)
    samples, found = sample_pixels(jax.random.key(0), jnp.asarray(allowed), num=5000)
    counts = np.zeros(allowed.shape)
    np.add.at(counts, tuple(np.asarray(samples).T), 1)
    assert found
    assert not counts[~allowed].any()
    # 1000 draws each; 28 is one standard deviation of a binomial count.
    np.testing.assert_allclose(counts[allowed], 1000, atol=4 * 28)


def test_an_empty_set_is_reported():
    samples, found = sample_pixels(jax.random.key(0), jnp.zeros((3, 4), bool), num=2)
    assert not found
    assert samples.shape == (2, 2)


def test_the_corners_can_be_sampled():
    for corner in [(0, 0), (0, 6), (4, 0), (4, 6)]:
        allowed = jnp.zeros((5, 7), bool).at[corner].set(True)
        samples, found = sample_pixels(jax.random.key(1), allowed, num=3)
        assert found
        np.testing.assert_array_equal(samples, [corner] * 3)


def test_the_program_has_no_loop():
    program = jax.make_jaxpr(functools.partial(sample_pixels, num=3))(
        jax.random.key(0), jnp.ones((5, 7), bool)
    )
    assert not {"while", "scan"} & set(re.findall(r"\w+", str(program)))
