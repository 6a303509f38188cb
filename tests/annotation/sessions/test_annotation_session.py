import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mst_jax.annotation.limits import Refused
from mst_jax.annotation.sessions.registry import Sessions
from mst_jax.data.formats.images import as_encoded, encode_png
from mst_jax.inference.predictor import Predictor
from tests.helpers.analytic_network import bumps
from tests.helpers.annotation_client import IMAGE, SMALL, VIEW

PICTURE = as_encoded(encode_png(IMAGE))
CLICKS = [(20, 42, True), (50, 75, True), (3, 4, False), (30, 40, True)]
places = st.tuples(st.integers(0, 59), st.integers(0, 83), st.booleans())
same = np.testing.assert_array_equal


@pytest.fixture
def session(sessions):
    session = sessions.create(PICTURE, name="scene.png")
    session.add()
    return session


@pytest.fixture(scope="module")
def one_for_all(engine, tmp_path_factory):
    """For laws: every example begins objects of its own."""
    limits = SMALL.__class__(objects=10_000)
    sessions = Sessions(tmp_path_factory.mktemp("sessions"), engine, limits)
    return sessions.create(PICTURE, name="scene.png")


def clicked(session, clicks) -> int:
    """An object that was clicked on."""
    number = session.add().number
    for click in clicks:
        session.click(number, *click)
    return number


def test_clicks_undo_redo_and_reset_are_the_predictors(session):
    predictor = Predictor(bumps, **VIEW)
    predictor.set_image(IMAGE)
    actions = [("click", click) for click in CLICKS[:2]]
    actions += [("undo", ()), ("redo", ()), ("click", CLICKS[2]), ("reset", ())]
    actions += [("click", CLICKS[3]), ("undo", ()), ("undo", ()), ("undo", ())]
    for name, args in actions:
        getattr(predictor, name)(*args)
        drawn = getattr(session, name)(1, *args)
        same(session.mask(1), predictor.mask)
        assert drawn.present.area == predictor.mask.sum()
        same(np.array(drawn.present.clicks).reshape(-1, 3), predictor.clicks)


@settings(max_examples=8)
@given(clicks=st.lists(places, min_size=1, max_size=4), data=st.data())
def test_undo_after_a_click_is_as_if_nothing_was(one_for_all, clicks, data):
    number = clicked(one_for_all, clicks)
    before = one_for_all.object(number).present
    prob = one_for_all.probability(number)
    one_for_all.click(number, *data.draw(places))
    assert one_for_all.undo(number).present == before
    same(one_for_all.probability(number), prob)
    after = one_for_all.redo(number).present
    assert one_for_all.undo(number).present == before
    assert one_for_all.redo(number).present == after


@settings(max_examples=8)
@given(clicks=st.lists(places, min_size=1, max_size=5), data=st.data())
def test_removing_a_click_is_never_having_made_it(one_for_all, clicks, data):
    index = data.draw(st.integers(0, len(clicks) - 1))
    number = clicked(one_for_all, clicks)
    drawn = one_for_all.remove_click(number, index)
    other = clicked(one_for_all, clicks[:index] + clicks[index + 1 :])
    same(one_for_all.probability(number), one_for_all.probability(other))
    assert drawn.present.clicks == one_for_all.object(other).present.clicks
    one_for_all.undo(number)
    same(one_for_all.mask(number), one_for_all.mask(clicked(one_for_all, clicks)))


def test_a_loaded_mask_takes_the_place_of_the_clicks_and_is_corrected(session):
    predictor = Predictor(bumps, **VIEW)
    predictor.set_image(IMAGE)
    mask = np.zeros((60, 84), bool)
    mask[10:30, 20:50] = True
    session.click(1, *CLICKS[0])
    assert session.load(1, mask).present.clicks == ()
    predictor.load_mask(mask)
    for click in CLICKS[1:3]:
        session.click(1, *click)
        predictor.click(*click)
    same(session.mask(1), predictor.mask)
    session.remove_click(1, 1)
    predictor.undo()
    same(session.mask(1), predictor.mask)
    session.remove_click(1, 0)
    same(session.mask(1), mask)


def test_a_label_map_becomes_objects(session):
    labels = np.zeros((60, 84), np.uint16)
    labels[:10], labels[20:30, :40] = 7, 300
    made = session.load_labels(labels)
    assert [drawn.number for drawn in made] == [2, 3]
    same(session.mask(2), labels == 7)
    same(session.mask(3), labels == 300)


def test_objects_do_not_disturb_each_other(session):
    session.click(1, *CLICKS[0])
    mask = session.mask(1)
    other = clicked(session, CLICKS[1:])
    session.remove(clicked(session, CLICKS))
    same(session.mask(1), mask)
    assert (session.mask(other) != mask).any()
    assert list(session.objects) == [1, 2] and session.add().number == 4


def test_names_colours_and_whether_it_is_finished(session):
    assert session.object(1).name == "object 1"
    session.change(1, name="cat", finished=True)
    drawn = session.change(1, colour="#123456")
    assert (drawn.name, drawn.colour, drawn.finished) == ("cat", "#123456", True)
    assert session.add().colour != session.add().colour


@pytest.mark.parametrize("click", [(-1, 0), (60, 0), (0, 84), (0, -0.1), (np.nan, 3)])
def test_a_click_outside_is_refused_and_nothing_changes(session, click):
    before = session.object(1)
    with pytest.raises(Refused, match="outside the picture of 84x60"):
        session.click(1, *click, True)
    assert session.object(1) == before


def test_what_is_not_there_or_too_much_is_refused(session):
    for wrong in (
        lambda: session.click(2, 1, 1, True),
        lambda: session.remove_click(1, 0),
        lambda: session.tokens(1),
        lambda: session.remove(0),
    ):
        with pytest.raises(Refused) as caught:
            wrong()
        assert caught.value.status_code == 404
    with pytest.raises(Refused, match="objects"):
        session.load_labels(np.arange(60 * 84).reshape(60, 84).astype(np.uint16) % 9)
    with pytest.raises(Refused, match="0 everywhere"):
        session.load_labels(np.zeros((60, 84), np.uint16))
    for _ in range(SMALL.clicks):
        session.click(1, *CLICKS[0])
    with pytest.raises(Refused, match="24 clicks"):
        session.click(1, *CLICKS[0])


def test_arrays_that_no_moment_needs_leave_the_disk(session, tmp_path):
    def count() -> int:
        return len(list(tmp_path.rglob("*.array")))

    for click in CLICKS:
        session.click(1, *click)
    assert count() == 4
    session.undo(1)
    session.undo(1)
    session.click(1, *CLICKS[3])
    assert count() == 3
    session.remove(1)
    assert count() == 0


def test_an_ended_session_refuses_and_leaves_nothing(session, tmp_path):
    session.click(1, *CLICKS[0])
    session.end()
    with pytest.raises(Refused, match="gone"):
        session.click(1, *CLICKS[0])
    with pytest.raises(Refused, match="gone"):
        session.add()
    assert list((tmp_path / "sessions").iterdir()) == []
