import numpy as np
import pytest

from mst_jax.annotation.errors import RequestRejected
from mst_jax.annotation.sessions.rendering import SnapshotRenderer
from mst_jax.annotation.store.history import ObjectSnapshot
from mst_jax.annotation.store.session_change import SessionChange
from mst_jax.annotation.store.storage import SessionStorage
from mst_jax.inference.click_session import Click
from tests.helpers.annotation_client import IMAGE, insert_session

CLICKS = (Click(20, 42, True), Click(50, 75, True), Click(3.5, 4, False))
same = np.testing.assert_array_equal


@pytest.fixture
def storage(database):
    insert_session(database, "one")
    return SessionStorage(database, "one")


@pytest.fixture
def renderer(storage, engine):
    return SnapshotRenderer(storage, engine, (60, 84), lambda: IMAGE)


def test_snapshot_is_bitwise_identical_after_a_restart(
    renderer, storage, engine, database
):
    snapshot = renderer.apply_clicks(ObjectSnapshot(), CLICKS)
    state = renderer.render_snapshot(snapshot)
    storage.commit(SessionChange(revision=1))
    restarted = SnapshotRenderer(
        SessionStorage(database, "one"), engine, (60, 84), lambda: IMAGE
    )
    restored = restarted.render_snapshot(snapshot)
    assert np.asarray(restored.prob).tobytes() == np.asarray(state.prob).tobytes()
    same(restored.roi, state.roi)
    same(restored.mask, state.mask)
    assert snapshot.area == state.mask.sum() > 0


def test_several_clicks_equal_single_clicks(renderer):
    snapshot = ObjectSnapshot()
    for click in CLICKS:
        snapshot = renderer.apply_clicks(snapshot, (click,))
    together = renderer.apply_clicks(ObjectSnapshot(), CLICKS)
    assert together.clicks == snapshot.clicks == CLICKS
    same(
        renderer.render_snapshot(together).prob, renderer.render_snapshot(snapshot).prob
    )


def test_stored_mask_is_corrected_by_clicks(renderer):
    mask = np.zeros((60, 84), bool)
    mask[10:30, 20:50] = True
    snapshot = renderer.stage_mask(mask)
    assert snapshot == renderer.initial_snapshot(snapshot.initial_mask_id)
    assert snapshot.area == 600
    same(renderer.render_snapshot(snapshot).mask, mask)
    corrected = renderer.apply_clicks(snapshot, CLICKS[:1])
    assert corrected.initial_mask_id == snapshot.initial_mask_id
    without_mask = renderer.apply_clicks(ObjectSnapshot(), CLICKS[:1])
    corrected_prob = renderer.render_snapshot(corrected).prob
    assert (corrected_prob != renderer.render_snapshot(without_mask).prob).any()


def test_empty_mask_and_models_without_tokens_are_rejected(renderer):
    with pytest.raises(RequestRejected, match="empty"):
        renderer.stage_mask(np.zeros((60, 84), bool))
    with pytest.raises(RequestRejected, match="no token selection"):
        renderer.token_boxes(ObjectSnapshot())


def test_image_is_loaded_only_when_it_is_needed(storage, engine):
    num_reads = 0

    def read_pixels():
        nonlocal num_reads
        num_reads += 1
        return IMAGE

    renderer = SnapshotRenderer(storage, engine, (60, 84), read_pixels)
    snapshot = renderer.stage_mask(np.ones((60, 84), bool))
    assert renderer.render_mask(snapshot).all()
    assert not renderer.render_mask(ObjectSnapshot()).any()
    assert (num_reads, renderer.num_device_bytes) == (0, 0)
    renderer.render_snapshot(snapshot)
    renderer.render_snapshot(ObjectSnapshot())
    assert num_reads == 1 and renderer.num_device_bytes > 0
    renderer.release()
    renderer.render_snapshot(snapshot)
    assert num_reads == 2
