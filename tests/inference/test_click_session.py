import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mst_jax.inference.click_session import Click, Session, in_slots, untouched


def started():
    """A picture of 3 x 5 pixels, padded to 4 x 8."""
    return Session.start(jnp.zeros((1, 4, 8, 3), jnp.uint8), 3, 5)


def moment(number):
    """A moment that can be told from others."""
    prob = jnp.full((1, 4, 8), number / 100)
    return dataclasses.replace(untouched(started().image), prob=prob)


def numbers(session):
    """The numbers of past, present and future."""
    moments = (*session.past, session.present, *session.future[::-1])
    return [round(100 * float(one.prob[0, 0, 0])) for one in moments]


def test_a_walk_by_hand():
    session = started().then(moment(1)).then(moment(2)).then(moment(3))
    assert numbers(session) == [0, 1, 2, 3]
    back = session.undo().undo()
    assert numbers(back) == [0, 1, 2, 3]
    assert back.present is session.past[1]
    assert back.redo().present is session.past[2]
    assert numbers(back.then(moment(9))) == [0, 1, 9]


@given(steps=st.lists(st.sampled_from(["then", "undo", "redo"]), max_size=12))
def test_undo_then_redo_is_nothing(steps):
    session = started()
    for number, step in enumerate(steps, 1):
        arguments = (moment(number),) if step == "then" else ()
        session = getattr(session, step)(*arguments)
    if session.past:
        again = session.undo().redo()
        assert (again.past, again.present, again.future) == (
            session.past,
            session.present,
            session.future,
        )


def test_without_past_or_future_it_is_itself():
    session = started()
    assert session.undo() is session and session.redo() is session


def test_the_mask_is_above_the_threshold_and_without_padding():
    prob = jnp.zeros((1, 4, 8)).at[0, 0, :3].set(jnp.array([0.49, 0.4901, 1.0]))
    prob = prob.at[0, 3, :].set(1.0)
    at = dataclasses.replace(moment(0), prob=prob)
    np.testing.assert_array_equal(
        started().then(at).mask,
        [
            [False, True, True, False, False],
            [False, False, False, False, False],
            [False, False, False, False, False],
        ],
    )


def test_slots_keep_the_order_and_double():
    clicks = (Click(1, 2.5, True), Click(3, 4, False))
    slots = in_slots(clicks)
    np.testing.assert_array_equal(slots.yx[0, :2], [[1, 2.5], [3, 4]])
    np.testing.assert_array_equal(slots.label[0, :3], [1, 0, -1])
    sizes = [in_slots(clicks[:1] * n).label.shape for n in (0, 24, 25, 48, 49)]
    assert sizes == [(1, 24), (1, 24), (1, 48), (1, 48), (1, 96)]


@pytest.mark.parametrize("place", [(2.9, 4.9), (0, 0), (np.int64(2), np.float32(4))])
def test_a_click_in_the_picture(place):
    click = started().click_at(*place, 1)
    assert click == (pytest.approx(place[0]), pytest.approx(place[1]), True)


@pytest.mark.parametrize("place", [(3, 0), (0, 5), (-1, 0), (float("nan"), 0)])
def test_a_click_outside(place):
    with pytest.raises(ValueError, match="outside the picture of 3 rows and 5 columns"):
        started().click_at(*place, True)


def test_a_mask_to_begin_from():
    given = np.zeros((3, 5), np.float32)
    given[1, 2:4] = 0.2, -1
    opened = started().open_mask(given)
    assert opened.dtype == bool
    np.testing.assert_array_equal(opened, given != 0)


@pytest.mark.parametrize(
    ("mask", "said"),
    [
        (np.ones((4, 8)), r"mask is \[4, 8\], expected \[3, 5\]"),
        (np.full((3, 5), np.nan), "no numbers"),
        (np.full((3, 5), "x"), "no numbers"),
        (np.zeros((3, 5)), "mask is empty"),
    ],
)
def test_no_mask_to_begin_from(mask, said):
    with pytest.raises(ValueError, match=said):
        started().open_mask(mask)
