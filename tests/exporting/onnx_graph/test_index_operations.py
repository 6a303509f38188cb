import jax
import jax.numpy as jnp
import numpy as np
from jax import export

from mst_jax.clicks.encode import click_disk_maps
from mst_jax.structs import Clicks
from tests.helpers.onnx_functions import assert_same_as_onnx

X = np.random.default_rng(0).normal(size=(3, 6, 4)).astype(np.float32)
INDEX = np.array([[5, 0], [2, 2], [-1, 3]], np.int32)


def test_gather_along_one_axis():
    assert_same_as_onnx(
        lambda x, index: (x[1][index[0]], x[:, jnp.clip(index[1], 0, 5)]), X, INDEX
    )


def test_gather_of_each_example():
    (b,) = export.symbolic_shape("b")
    structs = [
        jax.ShapeDtypeStruct((b, 6, 4), jnp.float32),
        jax.ShapeDtypeStruct((b, 2), jnp.int32),
    ]

    def function(x, index):
        clipped = jnp.take_along_axis(x, 9 * index[..., None], axis=1, mode="clip")
        columns = jax.vmap(lambda x, index: x[:, index])(x, index % 4)
        return jax.vmap(lambda x, index: x[index])(x, index), clipped, columns

    assert_same_as_onnx(function, X, INDEX, structs=structs)


def test_disks_at_the_border_are_cut_off():
    yx = np.array([[[0, 0], [3.5, 15.2], [20, 20]], [[7, 7], [7, 8], [0, 0]]])
    label = np.array([[1, 0, 1], [0, 1, -1]], np.int32)

    def draw_maps(yx, label):
        draw = jax.vmap(lambda clicks: click_disk_maps(clicks, 16, 18, radius=3.0))
        return draw(Clicks(yx, label))

    maps = np.asarray(draw_maps(jnp.asarray(yx, jnp.float32), jnp.asarray(label)))
    assert 20 < maps.sum() < 200
    assert_same_as_onnx(draw_maps, yx.astype(np.float32), label)


def test_scatter_add_sums_repeated_indices():
    def function(index):
        return jnp.zeros(6).at[index].add(1.5, mode="drop")

    assert_same_as_onnx(function, np.array([0, 2, 2, 5, 6, 9], np.int32))


def test_dynamic_slices_are_clipped_to_the_array():
    def function(x, index):
        middle = jax.lax.dynamic_slice(x, (index[0, 0], index[1, 0], 1), (1, 3, 2))
        return middle, jax.lax.dynamic_slice_in_dim(x, index[2, 0], 5, axis=1)

    # 5 and 2 begin too late, -1 too early.
    assert_same_as_onnx(function, X, INDEX)
    assert_same_as_onnx(function, X, INDEX[::-1].copy())
