"""Labels, `where`, logits and axes of a loss: what is read, and what is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mst_jax.losses.loss_inputs import (
    PixelReducer,
    make_pixel_reducer,
    read_labels,
    read_logits,
    read_where,
)


@pytest.mark.parametrize(
    "dtype", [bool, np.uint8, np.int64, np.float32, np.float16, jnp.bfloat16]
)
@pytest.mark.parametrize("as_array", [np.asarray, jnp.asarray])
def test_labels_0_and_1_of_every_dtype_are_read(dtype, as_array):
    labels = as_array(np.array([0, 1, 1, 0]).astype(dtype))
    is_object = read_labels(labels, None, (4,))
    np.testing.assert_array_equal(is_object, [False, True, True, False])


@pytest.mark.parametrize(
    ("labels", "listed"),
    [
        (np.array([0, 255, 1], np.uint8), "255"),
        (jnp.array([-1, 1, 0]), "-1"),
        (np.array([0.05, 0.95, 1.0]), "0.05, 0.95"),
        (jnp.array([0.05, 0.0, 1.0], jnp.float16), "0.05"),
        (jnp.array([0.0, np.nan, 1.0]), "nan"),
        (np.arange(9).reshape(3, 3), r"2, 3, 4, \.\.\."),
        (np.int64(2), "2"),
        (3, "3"),
    ],
)
def test_other_labels_are_refused(labels, listed):
    message = (
        rf"^labels hold {listed} on pixels that count, expected only 0 and 1; leave"
    )
    with pytest.raises(ValueError, match=message):
        read_labels(labels, None, np.shape(labels))


def test_ignored_pixels_may_hold_any_label():
    labels = np.array([[0, 1, 255], [255, 1, 255]], np.uint8)
    is_object = read_labels(labels, labels != 255, (2, 3))
    np.testing.assert_array_equal(is_object[:, 1], [True, True])
    # A `where` that broadcasts: the last column alone does not count.
    with pytest.raises(ValueError, match="labels hold 255 on"):
        read_labels(labels, jnp.array([True, True, False]), (2, 3))


def test_constant_labels_are_checked_while_other_arrays_are_traced():
    labels = jnp.array([7, 1])
    with pytest.raises(ValueError, match="labels hold 7"):
        jax.jit(lambda x: x * read_labels(labels, None, (2,)))(jnp.ones(2))


def test_traced_labels_above_one_half_are_the_object():
    values = jnp.array([-1.0, 0.0, 0.5, 0.51, 1.0, 255.0, np.nan])
    is_object = jax.jit(lambda labels: read_labels(labels, None, (7,)))(values)
    np.testing.assert_array_equal(is_object, [0, 0, 0, 1, 1, 1, 0])


def test_labels_of_another_shape_are_refused():
    with pytest.raises(ValueError, match=r"^logits are \(2, 3\), labels \(3,\); give"):
        read_labels(np.ones(3), None, (2, 3))


def test_where_broadcasts():
    is_counted = read_where(jnp.array([[True], [False]]), (2, 3))
    np.testing.assert_array_equal(is_counted, [[True] * 3, [False] * 3])
    np.testing.assert_array_equal(read_where(np.array([0, 1]), (2,)), [False, True])
    assert read_where(None, (2, 3)).all()


@pytest.mark.parametrize("shape", [(2,), (1, 2, 3), (2, 4)])
def test_where_of_another_shape_is_refused(shape):
    with pytest.raises(ValueError, match=r"^logits are \(2, 3\), where \("):
        read_where(np.ones(shape, bool), (2, 3))


def test_weights_are_not_a_where():
    with pytest.raises(ValueError, match=r"where holds 0\.5, .* multiply the loss"):
        read_where(np.array([0.5, 1.0]), (2,))


def test_logits_are_raised_to_float32():
    assert read_logits(np.ones(2, np.float16)).dtype == jnp.float32
    with pytest.raises(ValueError, match=r"int32, .* order is \(logits, labels\)"):
        read_logits(np.ones(2, np.int32))


def test_a_single_axis_needs_no_axis():
    assert make_pixel_reducer(np.zeros(3), None, "rows") == PixelReducer(-1, "rows")
    assert make_pixel_reducer(np.zeros((2, 3)), (0, -1), None).axis == (0, -1)


@pytest.mark.parametrize("shape", [(), (2, 3), (2, 3, 4)])
def test_several_axes_need_an_axis(shape):
    with pytest.raises(
        ValueError, match=rf"^logits have {len(shape)} axes and axis is"
    ):
        make_pixel_reducer(np.zeros(shape), None, None)


def test_sums_and_maxima_keep_the_axes():
    values = jnp.arange(12.0).reshape(2, 2, 3)
    reducer = PixelReducer((-2, -1), None)
    np.testing.assert_array_equal(reducer.sum(values), [[[15]], [[51]]])
    np.testing.assert_array_equal(reducer.sum(values, keepdims=False), [15, 51])
    np.testing.assert_array_equal(reducer.max_without_gradient(values), [[[5]], [[11]]])
