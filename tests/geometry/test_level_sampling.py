import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mst_jax.geometry import level_sampling
from mst_jax.geometry.level_sampling import sample_levels as sample_levels_eagerly
from mst_jax.geometry.level_sampling import split_levels
from tests.helpers.deformable_reference import sample_levels_slowly

SMALL_MAP = jnp.array([[1.0, 2.0, 3.0], [10.0, 20.0, 30.0]])


LEVEL_SIZES = ((2, 3), (1, 2), (3, 1))


# Compiled as a whole: op by op, each test compiles dozens of programs.
sample_levels = jax.jit(sample_levels_eagerly, static_argnames="level_sizes")


def sample_map(points_yx, *, values=SMALL_MAP, level_sizes=((2, 3),)):
    """Samples of one head, one query per point, weight 1."""
    values = jnp.reshape(values, (1, -1, 1, 1))
    points_yx = jnp.asarray(points_yx, jnp.float32)[None, :, None, None, None]
    weights = jnp.ones(points_yx.shape[:-1])
    return sample_levels(values, points_yx, weights, level_sizes=level_sizes)[
        0, :, 0, 0
    ]


def random_inputs(rng, *, batch=2, queries=4, heads=2, points=3, channels=2):
    """Random values, sampling points (a third of them outside) and weights."""
    num_cells = sum(h * w for h, w in LEVEL_SIZES)
    samples_shape = (batch, queries, heads, len(LEVEL_SIZES), points)
    values = rng.normal(size=(batch, num_cells, heads, channels))
    points_yx = rng.uniform(-2, 4, (*samples_shape, 2))
    weights = rng.normal(size=samples_shape)
    return tuple(jnp.asarray(x, jnp.float32) for x in (values, points_yx, weights))


def test_split_levels_returns_maps_row_by_row():
    first, second = split_levels(jnp.arange(8.0)[:, None], ((2, 3), (1, 2)))
    np.testing.assert_array_equal(first[..., 0], [[0, 1, 2], [3, 4, 5]])
    np.testing.assert_array_equal(second[..., 0], [[6, 7]])


def test_integer_points_are_cells_row_before_column():
    points_yx = [[0, 0], [0, 2], [1, 0], [1, 2]]
    np.testing.assert_array_equal(sample_map(points_yx), [1, 3, 10, 30])


def test_samples_between_cells_are_bilinear():
    points_yx = [[0, 0.25], [0.5, 0], [0.5, 1.5], [0.25, 1.75]]
    np.testing.assert_allclose(sample_map(points_yx), [1.25, 5.5, 13.75, 8.9375])


def test_samples_outside_are_zero_and_border_is_linear():
    points_yx = [
        *([-0.25, 0], [1.5, 2], [0, 2.75], [-0.5, -0.5]),
        *([-1, 0], [2, 2], [0, 99]),
    ]
    expected = [0.75, 15, 0.75, 0.25, 0, 0, 0]
    np.testing.assert_allclose(sample_map(points_yx), expected)


def test_each_level_has_its_own_points():
    values = jnp.arange(1.0, 7.0).reshape(1, 6, 1, 1)  # 1 2 | 3 4 / 5 6
    points_yx = jnp.array([[[0.0, 1.0]], [[1.0, 0.5]]]).reshape(1, 1, 1, 2, 1, 2)
    weights = jnp.array([10.0, 100.0]).reshape(1, 1, 1, 2, 1)
    sampled = sample_levels(values, points_yx, weights, level_sizes=((1, 2), (2, 2)))
    np.testing.assert_allclose(sampled.ravel(), [10 * 2 + 100 * 5.5])


def test_samples_match_slow_loops(rng):
    inputs = random_inputs(rng)
    actual = sample_levels(*inputs, level_sizes=LEVEL_SIZES)
    expected = sample_levels_slowly(*inputs, level_sizes=LEVEL_SIZES)
    np.testing.assert_allclose(actual, expected, atol=2e-6)


def test_gradients_match_differences_of_slow_loops(rng):
    inputs = random_inputs(rng, batch=1, queries=2, points=2, channels=2)
    cotangent = rng.normal(size=(1, 2, 2, 2)).astype(np.float32)

    def total(*inputs):
        return (sample_levels(*inputs, level_sizes=LEVEL_SIZES) * cotangent).sum()

    def slow_total(argument, change):
        changed = [np.asarray(x, np.float64) for x in inputs]
        changed[argument] = changed[argument] + change
        sampled = sample_levels_slowly(*changed, level_sizes=LEVEL_SIZES)
        return (sampled * cotangent).sum()

    step = 1e-6
    gradients = jax.jit(jax.grad(total, argnums=(0, 1, 2)))(*inputs)
    for argument, gradient in enumerate(gradients):
        for index in np.ndindex(*gradient.shape):
            change = np.zeros(gradient.shape)
            change[index] = step
            rise = slow_total(argument, change) - slow_total(argument, -change)
            assert gradient[index] == pytest.approx(rise / (2 * step), abs=1e-5)


def test_vmap_equals_batch(rng):
    inputs = random_inputs(rng)

    def sample_example(*example):
        batch = (x[None] for x in example)
        return sample_levels(*batch, level_sizes=LEVEL_SIZES)[0]

    np.testing.assert_allclose(
        jax.jit(jax.vmap(sample_example))(*inputs),
        sample_levels(*inputs, level_sizes=LEVEL_SIZES),
        atol=1e-6,
    )


def test_bfloat16_values_are_sampled_at_float32_points():
    # 200.3 has no bfloat16: a point of that dtype would be another cell.
    values = jnp.arange(256.0).astype(jnp.bfloat16)
    sampled = sample_map([[0, 200.3]], values=values, level_sizes=((1, 256),))
    assert sampled.dtype == jnp.float32
    np.testing.assert_allclose(sampled, [200.3], rtol=1e-6)


def test_form_for_tpus_has_the_same_samples_and_gradients(rng, monkeypatch):
    inputs = random_inputs(rng, channels=3)

    def loss_of(*inputs):
        return jnp.square(sample_levels_eagerly(*inputs, level_sizes=LEVEL_SIZES)).sum()

    expected = jax.jit(jax.value_and_grad(loss_of, (0, 1, 2)))(*inputs)
    monkeypatch.setattr(
        level_sampling, "_sum_points", level_sampling._sum_points_in_lanes
    )
    jax.clear_caches()
    actual = jax.jit(jax.value_and_grad(loss_of, (0, 1, 2)))(*inputs)
    for leaf, expected_leaf in zip(
        jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True
    ):
        np.testing.assert_allclose(leaf, expected_leaf, rtol=1e-5, atol=1e-5)
