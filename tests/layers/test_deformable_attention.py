import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mst_jax.layers.deformable_attention import (
    DeformableAttention,
    cell_centres,
    read_levels,
    ring,
    split_levels,
)
from tests.helpers.slow_dataset import read_levels_slowly

PICTURE = jnp.array([[1.0, 2.0, 3.0], [10.0, 20.0, 30.0]])
SIZES = ((2, 3), (1, 2), (3, 1))


def read(places, *, values=PICTURE, sizes=((2, 3),)):
    """Readings of one head, one query for each place, weight 1."""
    values = jnp.reshape(values, (1, -1, 1, 1))
    places = jnp.asarray(places, jnp.float32)[None, :, None, None, None]
    weights = jnp.ones(places.shape[:-1])
    return read_levels(values, places, weights, sizes=sizes)[0, :, 0, 0]


def drawn(rng, *, batch=2, queries=4, heads=2, points=3, channels=2):
    """Random values, places (a third of them outside) and weights."""
    num_cells = sum(h * w for h, w in SIZES)
    shape = (batch, queries, heads, len(SIZES), points)
    values = rng.normal(size=(batch, num_cells, heads, channels))
    places, weights = rng.uniform(-2, 4, (*shape, 2)), rng.normal(size=shape)
    return tuple(jnp.asarray(x, jnp.float32) for x in (values, places, weights))


def test_centres_are_counted_across_each_level():
    np.testing.assert_allclose(
        cell_centres(((1, 2), (2, 1))),
        [[0.5, 0.25], [0.5, 0.75], [0.25, 0.5], [0.75, 0.5]],
    )


def test_levels_are_maps_again_row_by_row():
    first, second = split_levels(jnp.arange(8.0)[:, None], ((2, 3), (1, 2)))
    np.testing.assert_array_equal(first[..., 0], [[0, 1, 2], [3, 4, 5]])
    np.testing.assert_array_equal(second[..., 0], [[6, 7]])


def test_whole_places_are_cells_row_before_column():
    places = [[0, 0], [0, 2], [1, 0], [1, 2]]
    np.testing.assert_array_equal(read(places), [1, 3, 10, 30])


def test_between_cells_the_reading_is_bilinear():
    places = [[0, 0.25], [0.5, 0], [0.5, 1.5], [0.25, 1.75]]
    np.testing.assert_allclose(read(places), [1.25, 5.5, 13.75, 8.9375])


def test_outside_is_zero_and_the_border_fades():
    places = [[-0.25, 0], [1.5, 2], [0, 2.75], [-0.5, -0.5], [-1, 0], [2, 2], [0, 99]]
    np.testing.assert_allclose(read(places), [0.75, 15, 0.75, 0.25, 0, 0, 0])


def test_each_level_is_read_at_its_own_place():
    values = jnp.arange(1.0, 7.0).reshape(1, 6, 1, 1)  # 1 2 | 3 4 / 5 6
    places = jnp.array([[[0.0, 1.0]], [[1.0, 0.5]]]).reshape(1, 1, 1, 2, 1, 2)
    weights = jnp.array([10.0, 100.0]).reshape(1, 1, 1, 2, 1)
    out = read_levels(values, places, weights, sizes=((1, 2), (2, 2)))
    np.testing.assert_allclose(out.ravel(), [10 * 2 + 100 * 5.5])


def test_it_is_the_slow_loop(rng):
    drawing = drawn(rng)
    out = jax.jit(lambda *x: read_levels(*x, sizes=SIZES))(*drawing)
    want = read_levels_slowly(*drawing, sizes=SIZES)
    np.testing.assert_allclose(out, want, atol=2e-6)


def test_gradients_are_the_slow_loops_differences(rng):
    drawing = drawn(rng, batch=1, queries=2, points=2, channels=2)
    pull = rng.normal(size=(1, 2, 2, 2)).astype(np.float32)

    def total(*drawing):
        return (read_levels(*drawing, sizes=SIZES) * pull).sum()

    def slow_total(number, change):
        changed = [np.asarray(x, np.float64) for x in drawing]
        changed[number] = changed[number] + change
        return (read_levels_slowly(*changed, sizes=SIZES) * pull).sum()

    step = 1e-6
    gradients = jax.jit(jax.grad(total, argnums=(0, 1, 2)))(*drawing)
    for number, gradient in enumerate(gradients):
        for place in np.ndindex(*gradient.shape):
            change = np.zeros(gradient.shape)
            change[place] = step
            rise = slow_total(number, change) - slow_total(number, -change)
            assert gradient[place] == pytest.approx(rise / (2 * step), abs=1e-5)


def test_vmap_is_the_batch(rng):
    drawing = drawn(rng)
    alone = jax.vmap(lambda *x: read_levels(*(y[None] for y in x), sizes=SIZES)[0])
    np.testing.assert_allclose(
        alone(*drawing), read_levels(*drawing, sizes=SIZES), atol=1e-6
    )


def test_values_of_half_width_are_read_at_exact_places():
    # 200.3 is no bfloat16: a place of that kind would be another cell.
    values = jnp.arange(256.0).astype(jnp.bfloat16)
    out = read([[0, 200.3]], values=values, sizes=((1, 256),))
    assert out.dtype == jnp.float32
    np.testing.assert_allclose(out, [200.3], rtol=1e-6)


def test_eight_heads_look_at_the_eight_neighbours():
    out = ring(8, 1, 2)[:, 0]
    one_cell_far = [
        *([0, 1], [1, 1], [1, 0], [1, -1]),
        *([0, -1], [-1, -1], [-1, 0], [-1, 1]),
    ]
    np.testing.assert_allclose(out[:, 0], one_cell_far, atol=1e-6)
    np.testing.assert_allclose(out[:, 1], 2 * np.array(one_cell_far), atol=1e-6)


def make(attention, sizes, width):
    """Params of a module whose values and output are left as they are."""
    cells = jnp.zeros((1, sum(h * w for h, w in sizes), width))
    params = attention.init(
        jax.random.key(0), cells, cells, centres_yx=cell_centres(sizes), sizes=sizes
    )["params"]
    same = np.eye(width, dtype=np.float32)
    params["value"]["kernel"] = same.reshape(params["value"]["kernel"].shape)
    params["out"]["kernel"] = same.reshape(params["out"]["kernel"].shape)
    return params


def run(attention, params, query, memory, sizes):
    centres = cell_centres(sizes)[: query.shape[1]]
    return attention.apply(
        {"params": params}, query, memory, centres_yx=centres, sizes=sizes
    )


def test_a_new_module_sees_the_neighbour_of_each_head():
    sizes, attention = ((3, 3),), DeformableAttention(8, 1)
    params = make(attention, sizes, 8)
    cells = jnp.broadcast_to(jnp.arange(1.0, 10.0)[None, :, None], (1, 9, 8))
    out = run(attention, params, cells, cells, sizes)[0]
    # 1 2 3
    # 4 5 6   from the right neighbour on, clockwise
    # 7 8 9
    np.testing.assert_allclose(out[4], [6, 9, 8, 7, 4, 1, 2, 3], atol=1e-5)
    np.testing.assert_allclose(out[2], [0, 0, 6, 5, 2, 0, 0, 0], atol=1e-5)


def test_offsets_come_from_the_query_row_before_column():
    sizes, attention = ((2, 3),), DeformableAttention(1, 1)
    params = make(attention, sizes, 2)
    # The query's two channels are the steps down and to the right.
    params["offsets"]["kernel"] = jnp.eye(2).reshape(2, 1, 1, 1, 2)
    params["offsets"]["bias"] = jnp.zeros((1, 1, 1, 2))
    memory = jnp.broadcast_to(PICTURE.reshape(1, 6, 1), (1, 6, 2))
    query = jnp.array([[[1.0, 0.0], [0.0, 1.0], [1.0, -2.0]]])
    out = run(attention, params, query, memory, sizes)
    np.testing.assert_allclose(out[0, :, 0], [10, 3, 10], atol=1e-5)


def test_a_cell_stands_at_the_same_part_of_every_level():
    sizes, attention = ((1, 2), (2, 4)), DeformableAttention(1, 1)
    params = make(attention, sizes, 1)
    params["offsets"]["bias"] = jnp.zeros((1, 2, 1, 2))
    fine = [[1.0, 2.0, 5.0, 6.0], [3.0, 4.0, 7.0, 8.0]]
    memory = jnp.array([100.0, 200.0, *fine[0], *fine[1]]).reshape(1, 10, 1)
    out = run(attention, params, memory, memory, sizes)[0, :, 0]
    # Equal weights; a coarse cell stands between four fine ones, ...
    np.testing.assert_allclose(out[:2], [(100 + 2.5) / 2, (200 + 6.5) / 2], rtol=1e-6)
    # ... a fine one of the corner half outside the coarse level, which fades there.
    corner = 0.75 * 0.75 * 100
    np.testing.assert_allclose(out[2], (corner + 1) / 2, rtol=1e-6)


def test_weights_compete_over_levels_and_points_of_a_head():
    sizes, attention = ((1, 1), (1, 1)), DeformableAttention(2, 2)
    params = make(attention, sizes, 2)
    params["offsets"]["bias"] = jnp.zeros((2, 2, 2, 2))
    weights = jnp.array([[[1.0, 2.0], [3.0, 4.0]], [[0.0, 0.0], [0.0, 7.0]]])
    params["weights"]["bias"] = jnp.log(jnp.maximum(weights, 1e-30))
    memory = jnp.array([[[100.0, 100.0], [200.0, 200.0]]])
    out = run(attention, params, memory, memory, sizes)
    np.testing.assert_allclose(out[0, 0], [170, 200], rtol=1e-5)


def test_heads_that_do_not_divide_the_width_are_refused():
    with pytest.raises(ValueError, match="3 heads do not divide the width 8"):
        make(DeformableAttention(3), ((2, 2),), 8)
