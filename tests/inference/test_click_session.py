import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mst_jax.inference.click_session import (
    Click,
    ClickSession,
    initial_state,
    to_click_slots,
)


def start_session():
    """Start a session with an image of 3 x 5 pixels, padded to 4 x 8."""
    return ClickSession.start(jnp.zeros((1, 4, 8, 3), jnp.uint8), 3, 5)


def make_state(index):
    """Create a state with a probability that identifies it."""
    prob = jnp.full((1, 4, 8), index / 100)
    return dataclasses.replace(initial_state(start_session().image), prob=prob)


def state_indices(session):
    """Return the indices of past, current and future states."""
    states = (*session.past, session.current, *session.future[::-1])
    return [round(100 * float(state.prob[0, 0, 0])) for state in states]


def test_undo_and_redo_by_hand():
    session = (
        start_session()
        .push_state(make_state(1))
        .push_state(make_state(2))
        .push_state(make_state(3))
    )
    assert state_indices(session) == [0, 1, 2, 3]
    back = session.undo().undo()
    assert state_indices(back) == [0, 1, 2, 3]
    assert back.current is session.past[1]
    assert back.redo().current is session.past[2]
    assert state_indices(back.push_state(make_state(9))) == [0, 1, 9]


@given(steps=st.lists(st.sampled_from(["push_state", "undo", "redo"]), max_size=12))
def test_redo_reverts_undo(steps):
    session = start_session()
    for index, step in enumerate(steps, 1):
        arguments = (make_state(index),) if step == "push_state" else ()
        session = getattr(session, step)(*arguments)
    if session.past:
        again = session.undo().redo()
        assert (again.past, again.current, again.future) == (
            session.past,
            session.current,
            session.future,
        )


def test_without_past_or_future_nothing_changes():
    session = start_session()
    assert session.undo() is session and session.redo() is session


def test_the_mask_is_above_the_threshold_and_without_padding():
    prob = jnp.zeros((1, 4, 8)).at[0, 0, :3].set(jnp.array([0.49, 0.4901, 1.0]))
    prob = prob.at[0, 3, :].set(1.0)
    state = dataclasses.replace(make_state(0), prob=prob)
    np.testing.assert_array_equal(
        start_session().push_state(state).mask,
        [
            [False, True, True, False, False],
            [False, False, False, False, False],
            [False, False, False, False, False],
        ],
    )


def test_slots_keep_the_order_of_clicks_and_double():
    clicks = (Click(1, 2.5, True), Click(3, 4, False))
    slots = to_click_slots(clicks)
    np.testing.assert_array_equal(slots.yx[0, :2], [[1, 2.5], [3, 4]])
    np.testing.assert_array_equal(slots.label[0, :3], [1, 0, -1])
    sizes = [to_click_slots(clicks[:1] * n).label.shape for n in (0, 24, 25, 48, 49)]
    assert sizes == [(1, 24), (1, 24), (1, 48), (1, 48), (1, 96)]


@pytest.mark.parametrize("yx", [(2.9, 4.9), (0, 0), (np.int64(2), np.float32(4))])
def test_a_click_in_the_image(yx):
    click = start_session().make_click(*yx, True)
    assert click == (pytest.approx(yx[0]), pytest.approx(yx[1]), True)


@pytest.mark.parametrize("yx", [(3, 0), (0, 5), (-1, 0), (float("nan"), 0)])
def test_a_click_outside_the_image_is_refused(yx):
    with pytest.raises(ValueError, match="outside the image of 3 rows and 5 columns"):
        start_session().make_click(*yx, True)


def test_an_existing_mask_becomes_bool():
    mask = np.zeros((3, 5), np.float32)
    mask[1, 2:4] = 0.2
    opened = start_session().check_mask(mask)
    assert opened.dtype == bool
    np.testing.assert_array_equal(opened, mask != 0)


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (np.ones((4, 8)), r"mask is \[4, 8\], expected \[3, 5\]"),
        (np.full((3, 5), np.nan), "not finite numbers"),
        (np.full((3, 5), "x"), "not finite numbers"),
        (np.zeros((3, 5)), "mask is empty"),
        (np.arange(15).reshape(3, 5), "more than two values, from 0 to 14"),
    ],
)
def test_invalid_masks_are_refused(mask, message):
    with pytest.raises(ValueError, match=message):
        start_session().check_mask(mask)
