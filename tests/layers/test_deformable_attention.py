from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mst_jax.layers.deformable_attention import (
    DeformableAttention,
    cell_centers,
    initial_sampling_offsets,
)

SMALL_MAP = jnp.array([[1.0, 2.0, 3.0], [10.0, 20.0, 30.0]])


def test_centers_span_zero_to_one_on_each_level():
    np.testing.assert_allclose(
        cell_centers(((1, 2), (2, 1))),
        [[0.5, 0.25], [0.5, 0.75], [0.25, 0.5], [0.75, 0.5]],
    )


def test_eight_heads_start_at_the_eight_neighbors():
    offsets = initial_sampling_offsets(8, 1, 2)[:, 0]
    neighbors = [
        *([0, 1], [1, 1], [1, 0], [1, -1]),
        *([0, -1], [-1, -1], [-1, 0], [-1, 1]),
    ]
    np.testing.assert_allclose(offsets[:, 0], neighbors, atol=1e-6)
    np.testing.assert_allclose(offsets[:, 1], 2 * np.array(neighbors), atol=1e-6)


def init_params(attention, level_sizes, width):
    """Parameters of a module whose value and output projections are the identity."""
    cells = np.zeros((1, sum(h * w for h, w in level_sizes), width), np.float32)
    init = partial(
        attention.init,
        reference_points_yx=cell_centers(level_sizes),
        level_sizes=level_sizes,
    )
    params = jax.jit(init)(jax.random.key(0), cells, cells)["params"]
    identity = np.eye(width, dtype=np.float32)
    params["value"]["kernel"] = identity.reshape(params["value"]["kernel"].shape)
    params["out"]["kernel"] = identity.reshape(params["out"]["kernel"].shape)
    return params


def apply_attention(attention, params, inputs_q, inputs_v, level_sizes):
    """Attention of queries at the centers of the first cells."""
    reference_points = cell_centers(level_sizes)[: inputs_q.shape[1]]
    apply = partial(
        attention.apply, reference_points_yx=reference_points, level_sizes=level_sizes
    )
    return jax.jit(apply)({"params": params}, inputs_q, inputs_v)


def test_new_module_samples_the_neighbor_of_each_head():
    level_sizes, attention = ((3, 3),), DeformableAttention(8, 1)
    params = init_params(attention, level_sizes, 8)
    cells = jnp.broadcast_to(jnp.arange(1.0, 10.0)[None, :, None], (1, 9, 8))
    attended = apply_attention(attention, params, cells, cells, level_sizes)[0]
    # 1 2 3
    # 4 5 6   from the right neighbor on, clockwise
    # 7 8 9
    np.testing.assert_allclose(attended[4], [6, 9, 8, 7, 4, 1, 2, 3], atol=1e-5)
    np.testing.assert_allclose(attended[2], [0, 0, 6, 5, 2, 0, 0, 0], atol=1e-5)


def test_offsets_come_from_the_query_row_before_column():
    level_sizes, attention = ((2, 3),), DeformableAttention(1, 1)
    params = init_params(attention, level_sizes, 2)
    # The query's two channels are the steps down and to the right.
    params["offsets"]["kernel"] = jnp.eye(2).reshape(2, 1, 1, 1, 2)
    params["offsets"]["bias"] = jnp.zeros((1, 1, 1, 2))
    inputs_v = jnp.broadcast_to(SMALL_MAP.reshape(1, 6, 1), (1, 6, 2))
    inputs_q = jnp.array([[[1.0, 0.0], [0.0, 1.0], [1.0, -2.0]]])
    attended = apply_attention(attention, params, inputs_q, inputs_v, level_sizes)
    np.testing.assert_allclose(attended[0, :, 0], [10, 3, 10], atol=1e-5)


def test_reference_point_has_the_same_fraction_on_every_level():
    level_sizes, attention = ((1, 2), (2, 4)), DeformableAttention(1, 1)
    params = init_params(attention, level_sizes, 1)
    params["offsets"]["bias"] = jnp.zeros((1, 2, 1, 2))
    fine_map = [[1.0, 2.0, 5.0, 6.0], [3.0, 4.0, 7.0, 8.0]]
    cells = jnp.array([100.0, 200.0, *fine_map[0], *fine_map[1]]).reshape(1, 10, 1)
    attended = apply_attention(attention, params, cells, cells, level_sizes)[0, :, 0]
    # Equal weights; the center of a coarse cell is between four fine ones, ...
    expected = [(100 + 2.5) / 2, (200 + 6.5) / 2]
    np.testing.assert_allclose(attended[:2], expected, rtol=1e-6)
    # ... that of a fine corner cell is a quarter outside the coarse level.
    corner_sample = 0.75 * 0.75 * 100
    np.testing.assert_allclose(attended[2], (corner_sample + 1) / 2, rtol=1e-6)


def test_softmax_runs_over_levels_and_points_of_a_head():
    level_sizes, attention = ((1, 1), (1, 1)), DeformableAttention(2, 2)
    params = init_params(attention, level_sizes, 2)
    params["offsets"]["bias"] = jnp.zeros((2, 2, 2, 2))
    weights = jnp.array([[[1.0, 2.0], [3.0, 4.0]], [[0.0, 0.0], [0.0, 7.0]]])
    params["weights"]["bias"] = jnp.log(jnp.maximum(weights, 1e-30))
    cells = jnp.array([[[100.0, 100.0], [200.0, 200.0]]])
    attended = apply_attention(attention, params, cells, cells, level_sizes)
    np.testing.assert_allclose(attended[0, 0], [170, 200], rtol=1e-5)


def test_heads_must_divide_the_width():
    with pytest.raises(ValueError, match="3 heads do not divide the width 8"):
        init_params(DeformableAttention(3), ((2, 2),), 8)
