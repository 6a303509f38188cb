import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mst_jax
from mst_jax.structs import Clicks


def filled_slots(clicks):
    """Return the filled slots of one example as a list of (row, column, label)."""
    is_filled = np.asarray(clicks.is_filled)
    rows = np.concatenate([clicks.yx, np.asarray(clicks.label)[:, None]], axis=1)
    return rows[is_filled].tolist()


def test_positive_clicks_come_first_and_empty_slots_last():
    clicks = mst_jax.Clicks.from_lists([(1, 2), (3, 4)], [(5, 6.5)], num_slots=5)
    np.testing.assert_array_equal(clicks.label, [1, 1, 0, -1, -1])
    assert filled_slots(clicks) == [[1, 2, 1], [3, 4, 1], [5, 6.5, 0]]
    assert int(clicks.num_clicks) == 3
    np.testing.assert_array_equal(clicks.is_positive, [1, 1, 0, 0, 0])
    assert Clicks.from_lists([]).label.tolist() == [-1]


def test_a_batch_appends_and_undoes_each_example_independently():
    clicks = Clicks.empty(2, num_slots=2)
    clicks = clicks.append(jnp.array([[1, 2], [3, 4]]), jnp.array([1, -1]))
    np.testing.assert_array_equal(clicks.label, [[1, -1], [-1, -1]])
    clicks = clicks.append(jnp.array([[5, 6], [7, 8]]), jnp.array([0, 1]))
    np.testing.assert_array_equal(clicks.label, [[1, 0], [1, -1]])
    np.testing.assert_array_equal(clicks.yx[0], [[1, 2], [5, 6]])
    full = clicks.append(jnp.array([[9, 9], [9, 9]]), jnp.array([1, 1]))
    np.testing.assert_array_equal(full.label, [[1, 0], [1, 1]])
    np.testing.assert_array_equal(full.undo().undo().label, [[-1, -1], [-1, -1]])


@settings(max_examples=30)
@given(st.lists(st.sampled_from([-1, 0, 1]), max_size=6))
def test_undo_reverts_append(labels):
    clicks = Clicks.empty(num_slots=4)
    for index, label in enumerate(labels):
        before = clicks
        clicks = clicks.append(jnp.array([index, index]), label)
        grew = label >= 0 and len(filled_slots(before)) < 4
        assert len(filled_slots(clicks)) == len(filled_slots(before)) + grew
        if grew:
            assert filled_slots(clicks.undo()) == filled_slots(before)
            assert filled_slots(clicks)[-1] == [index, index, label]


def test_clicks_are_a_pytree_for_jit_and_vmap():
    clicks = Clicks.empty(3, num_slots=2)
    append_jit = jax.jit(jax.vmap(lambda c, yx: c.append(yx, 1)))
    after = append_jit(clicks, jnp.arange(6.0).reshape(3, 2))
    np.testing.assert_array_equal(after.yx[:, 0], [[0, 1], [2, 3], [4, 5]])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([(1, 2)] * 3, [], 2), "3 clicks do not fit into 2 slots"),
        (([(1, 2, 3)], [], 2), r"\(row, column\) pairs"),
        (([5], [], 2), r"\(row, column\) pairs"),
    ],
)
def test_invalid_lists_are_refused(arguments, message):
    positive, negative, num_slots = arguments
    with pytest.raises(ValueError, match=message):
        Clicks.from_lists(positive, negative, num_slots=num_slots)
