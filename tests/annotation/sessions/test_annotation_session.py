import contextlib
import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mst_jax.annotation.errors import RequestRejected
from mst_jax.annotation.limits import Limits
from mst_jax.annotation.sessions.registry import SessionRegistry
from mst_jax.annotation.store.database import Database
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
    database = Database(tmp_path_factory.mktemp("sessions"))
    registry = SessionRegistry(database, engine, Limits(max_objects=10_000))
    yield registry.create_session(ENCODED_IMAGE, image_name="scene.png")
    database.close()


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


def test_objects_are_independent(session):
    session.click(1, *CLICKS[0])
    mask = session.get_mask(1)
    other_id = add_clicked_object(session, CLICKS[1:])
    session.remove_object(add_clicked_object(session, CLICKS))
    same(session.get_mask(1), mask)
    assert (session.get_mask(other_id) != mask).any()
    assert list(session.objects) == [1, 2] and session.add_object().object_id == 4


def test_update_changes_label_color_and_finished(session):
    assert session.display_name(session.get_object(1)) == "object 1"
    session.update_object(1, name="cat", finished=True)
    updated = session.update_object(1, color="#123456")
    assert session.display_name(updated) == "cat"
    assert (updated.color, updated.finished) == ("#123456", True)
    assert not session.update_object(1, finished=False).finished
    assert session.update_object(1, name="cat").label_id == updated.label_id
    assert session.add_object().color != session.add_object().color
    assert session.update_object(2, name="object 2").label_id is None


def test_finished_mask_is_saved_until_it_is_finished_again(session):
    session.click(1, *CLICKS[0])
    assert session.get_object(1).saved_version is None
    finished = session.update_object(1, finished=True)
    assert finished.saved_version == finished.version == 1
    reopened = session.update_object(1, finished=False)
    changed = session.click(1, *CLICKS[1])
    assert reopened.saved_version == changed.saved_version == 1 < changed.version
    assert session.update_object(1, finished=True).saved_version == changed.version
    session.reset(1)
    assert session.get_object(1).saved_version is None


def test_removed_object_is_restored_with_everything(session):
    session.update_object(1, name="cat", color="#123456")
    for click in CLICKS:
        session.click(1, *click)
    session.undo(1)
    before, mask = session.get_object(1), session.get_mask(1)
    other_id = session.add_object().object_id
    session.remove_object(1)
    assert list(session.objects) == [other_id]
    restored = session.restore_object(1)
    assert list(session.objects) == [1, other_id]
    assert dataclasses.replace(restored, revision=before.revision) == before
    same(session.get_mask(1), mask)
    session.redo(1)
    assert session.restore_object(1) == session.get_object(1)
    with pytest.raises(RequestRejected, match="no deleted object 9"):
        session.restore_object(9)


def test_repeated_request_is_not_applied_again(session):
    for _ in range(3):
        (changed,) = session.run_once("a", lambda: [session.click(1, *CLICKS[0])])
    assert len(changed.current_snapshot.clicks) == 1
    session.click(1, *CLICKS[1])
    (changed,) = session.run_once("a", lambda: [session.click(1, *CLICKS[0])])
    assert len(changed.current_snapshot.clicks) == 2
    with pytest.raises(RequestRejected):
        session.run_once("b", lambda: [session.click(1, -1, 0, True)])
    session.run_once("b", lambda: [session.click(1, *CLICKS[2])])
    assert len(session.get_object(1).current_snapshot.clicks) == 3


def test_every_change_has_a_revision(session):
    revisions = [session.revision]
    for action in (
        lambda: session.click(1, *CLICKS[0]),
        lambda: session.update_object(1, color="#000000"),
        lambda: session.undo(1),
        lambda: session.remove_object(1),
        lambda: session.restore_object(1),
    ):
        action()
        revisions.append(session.revision)
    assert revisions == sorted(set(revisions))
    assert session.get_object(1).revision == revisions[-1]


def test_released_memory_is_loaded_again(session):
    session.click(1, *CLICKS[0])
    mask = session.get_mask(1)
    assert session.renderer.num_device_bytes > 0
    assert session.release_device_memory()
    assert session.renderer.num_device_bytes == 0
    same(session.get_mask(1), mask)


def test_change_that_cannot_be_stored_changes_nothing(session, database, monkeypatch):
    session.click(1, *CLICKS[0])
    before, mask = session.get_object(1), session.get_mask(1)

    @contextlib.contextmanager
    def fail():
        raise RequestRejected("the disk is full", 507)
        yield

    with monkeypatch.context() as patch:
        patch.setattr(database, "transaction", fail)
        for action in (
            lambda: session.click(1, *CLICKS[1]),
            lambda: session.update_object(1, finished=True),
            lambda: session.remove_object(1),
            lambda: session.load_mask(1, ~mask),
        ):
            with pytest.raises(RequestRejected, match="full"):
                action()
            assert session.get_object(1) == before
            same(session.get_mask(1), mask)
    assert len(session.click(1, *CLICKS[1]).current_snapshot.clicks) == 2


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
    for _ in range(SMALL_LIMITS.max_clicks):
        session.click(1, *CLICKS[0])
    with pytest.raises(RequestRejected, match="24 clicks"):
        session.click(1, *CLICKS[0])


def test_unused_masks_are_deleted(session, database):
    def count_masks() -> int:
        return database.fetch_one("SELECT count(*) FROM masks")[0]

    for click in CLICKS:
        session.click(1, *click)
    assert count_masks() == 4
    session.undo(1)
    session.undo(1)
    session.click(1, *CLICKS[3])
    assert count_masks() == 3


def test_deleted_session_rejects_actions(session, registry):
    session.click(1, *CLICKS[0])
    registry.remove_session(session.session_id)
    for action in (lambda: session.click(1, *CLICKS[0]), session.add_object):
        with pytest.raises(RequestRejected, match="deleted"):
            action()
