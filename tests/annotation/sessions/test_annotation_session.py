import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mst_jax.annotation.errors import RequestRejected
from mst_jax.annotation.limits import Limits
from mst_jax.annotation.sessions.registry import SessionRegistry
from mst_jax.data.formats.images import encode_png, normalize_image_data
from mst_jax.inference.predictor import Predictor
from tests.helpers.analytic_network import analytic_model
from tests.helpers.annotation_client import IMAGE, SMALL_LIMITS, ZOOM

ENCODED_IMAGE = normalize_image_data(encode_png(IMAGE))
CLICKS = [(20, 42, True), (50, 75, True), (3, 4, False), (30, 40, True)]
clicks_strategy = st.tuples(st.integers(0, 59), st.integers(0, 83), st.booleans())
same = np.testing.assert_array_equal


@pytest.fixture
def session(registry):
    session = registry.create_session(ENCODED_IMAGE, image_name="scene.png")
    session.add_object()
    return session


@pytest.fixture(scope="module")
def shared_session(engine, tmp_path_factory):
    """Return one session for property tests; every example adds objects of its own."""
    sessions_dir = tmp_path_factory.mktemp("sessions")
    registry = SessionRegistry(sessions_dir, engine, Limits(max_objects=10_000))
    return registry.create_session(ENCODED_IMAGE, image_name="scene.png")


def add_clicked_object(session, clicks) -> int:
    object_id = session.add_object().object_id
    for click in clicks:
        session.click(object_id, *click)
    return object_id


def test_click_undo_redo_and_reset_equal_the_predictor(session):
    predictor = Predictor(analytic_model, zoom=ZOOM)
    predictor.set_image(IMAGE)
    actions = [("click", click) for click in CLICKS[:2]]
    actions += [("undo", ()), ("redo", ()), ("click", CLICKS[2]), ("reset", ())]
    actions += [("click", CLICKS[3]), ("undo", ()), ("undo", ()), ("undo", ())]
    for name, args in actions:
        getattr(predictor, name)(*args)
        snapshot = getattr(session, name)(1, *args).current_snapshot
        same(session.get_mask(1), predictor.mask)
        assert snapshot.area == predictor.mask.sum()
        same(np.array(snapshot.clicks).reshape(-1, 3), predictor.clicks)


@settings(max_examples=8)
@given(clicks=st.lists(clicks_strategy, min_size=1, max_size=4), data=st.data())
def test_undo_after_a_click_restores_everything(shared_session, clicks, data):
    object_id = add_clicked_object(shared_session, clicks)
    before = shared_session.get_object(object_id).current_snapshot
    prob = shared_session.get_probability(object_id)
    shared_session.click(object_id, *data.draw(clicks_strategy))
    assert shared_session.undo(object_id).current_snapshot == before
    same(shared_session.get_probability(object_id), prob)
    after = shared_session.redo(object_id).current_snapshot
    assert shared_session.undo(object_id).current_snapshot == before
    assert shared_session.redo(object_id).current_snapshot == after


@settings(max_examples=8)
@given(clicks=st.lists(clicks_strategy, min_size=1, max_size=5), data=st.data())
def test_removed_click_has_no_effect_on_the_mask(shared_session, clicks, data):
    index = data.draw(st.integers(0, len(clicks) - 1))
    object_id = add_clicked_object(shared_session, clicks)
    snapshot = shared_session.remove_click(object_id, index).current_snapshot
    other_id = add_clicked_object(shared_session, clicks[:index] + clicks[index + 1 :])
    same(
        shared_session.get_probability(object_id),
        shared_session.get_probability(other_id),
    )
    other_snapshot = shared_session.get_object(other_id).current_snapshot
    assert snapshot.clicks == other_snapshot.clicks
    shared_session.undo(object_id)
    all_clicks_id = add_clicked_object(shared_session, clicks)
    same(shared_session.get_mask(object_id), shared_session.get_mask(all_clicks_id))


def test_loaded_mask_replaces_the_clicks_and_is_corrected(session):
    predictor = Predictor(analytic_model, zoom=ZOOM)
    predictor.set_image(IMAGE)
    mask = np.zeros((60, 84), bool)
    mask[10:30, 20:50] = True
    session.click(1, *CLICKS[0])
    assert session.load_mask(1, mask).current_snapshot.clicks == ()
    predictor.load_mask(mask)
    for click in CLICKS[1:3]:
        session.click(1, *click)
        predictor.click(*click)
    same(session.get_mask(1), predictor.mask)
    session.remove_click(1, 1)
    predictor.undo()
    same(session.get_mask(1), predictor.mask)
    session.remove_click(1, 0)
    same(session.get_mask(1), mask)


def test_label_map_becomes_objects(session):
    label_map = np.zeros((60, 84), np.uint16)
    label_map[:10], label_map[20:30, :40] = 7, 300
    added_objects = session.load_label_map(label_map)
    assert [added.object_id for added in added_objects] == [2, 3]
    same(session.get_mask(2), label_map == 7)
    same(session.get_mask(3), label_map == 300)


def test_objects_are_independent(session):
    session.click(1, *CLICKS[0])
    mask = session.get_mask(1)
    other_id = add_clicked_object(session, CLICKS[1:])
    session.remove_object(add_clicked_object(session, CLICKS))
    same(session.get_mask(1), mask)
    assert (session.get_mask(other_id) != mask).any()
    assert list(session.objects) == [1, 2] and session.add_object().object_id == 4


def test_update_changes_name_color_and_finished(session):
    assert session.get_object(1).name == "object 1"
    session.update_object(1, name="cat", finished=True)
    updated = session.update_object(1, color="#123456")
    assert (updated.name, updated.color, updated.finished) == ("cat", "#123456", True)
    assert not session.update_object(1, finished=False).finished
    assert session.add_object().color != session.add_object().color


@pytest.mark.parametrize("click", [(-1, 0), (60, 0), (0, 84), (0, -0.1), (np.nan, 3)])
def test_click_outside_is_rejected_and_nothing_changes(session, click):
    before = session.get_object(1)
    with pytest.raises(RequestRejected, match="outside the image of 84x60"):
        session.click(1, *click, True)
    assert session.get_object(1) == before


def test_unknown_ids_and_exceeded_limits_are_rejected(session):
    for action in (
        lambda: session.click(2, 1, 1, True),
        lambda: session.remove_click(1, 0),
        lambda: session.get_token_boxes(1),
        lambda: session.remove_object(0),
    ):
        with pytest.raises(RequestRejected) as caught:
            action()
        assert caught.value.status_code == 404
    many_labels = np.arange(60 * 84).reshape(60, 84).astype(np.uint16) % 9
    with pytest.raises(RequestRejected, match="objects"):
        session.load_label_map(many_labels)
    with pytest.raises(RequestRejected, match="0 everywhere"):
        session.load_label_map(np.zeros((60, 84), np.uint16))
    for _ in range(SMALL_LIMITS.max_clicks):
        session.click(1, *CLICKS[0])
    with pytest.raises(RequestRejected, match="24 clicks"):
        session.click(1, *CLICKS[0])


def test_unused_arrays_are_deleted_from_disk(session, tmp_path):
    def count_arrays() -> int:
        return len(list(tmp_path.rglob("*.array")))

    for click in CLICKS:
        session.click(1, *click)
    assert count_arrays() == 4
    session.undo(1)
    session.undo(1)
    session.click(1, *CLICKS[3])
    assert count_arrays() == 3
    session.remove_object(1)
    assert count_arrays() == 0


def test_deleted_session_rejects_actions_and_leaves_no_files(session, tmp_path):
    session.click(1, *CLICKS[0])
    session.delete_from_disk()
    with pytest.raises(RequestRejected, match="deleted"):
        session.click(1, *CLICKS[0])
    with pytest.raises(RequestRejected, match="deleted"):
        session.add_object()
    assert list((tmp_path / "sessions").iterdir()) == []
