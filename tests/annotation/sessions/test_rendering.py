import numpy as np
import pytest

from mst_jax.annotation.errors import RequestRejected
from mst_jax.annotation.sessions.prediction_cache import PredictionCache
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
def make_renderer(storage, engine):
    """Return a function that makes a renderer, as a server does that starts anew."""

    def make(predictions=None, read_pixels=lambda: IMAGE):
        predictions = PredictionCache() if predictions is None else predictions
        return SnapshotRenderer(storage, engine, predictions, (60, 84), read_pixels)

    return make


@pytest.fixture
def renderer(make_renderer):
    return make_renderer()


def test_snapshot_is_bitwise_identical_after_a_restart(
    renderer, storage, make_renderer
):
    snapshot = renderer.apply_clicks(ObjectSnapshot(), CLICKS)
    mask, prob = renderer.render_mask(snapshot), renderer.render_prob(snapshot)
    storage.commit(SessionChange(revision=1))
    restarted = make_renderer()
    same(restarted.render_mask(snapshot), mask)
    assert restarted.num_device_bytes == 0
    assert restarted.render_prob(snapshot).tobytes() == prob.tobytes()
    assert snapshot.area == mask.sum() > 0


def test_several_clicks_equal_single_clicks(renderer, make_renderer):
    snapshot = ObjectSnapshot()
    for click in CLICKS:
        snapshot = renderer.apply_clicks(snapshot, (click,))
    other = make_renderer()
    together = other.apply_clicks(ObjectSnapshot(), CLICKS)
    assert together.clicks == snapshot.clicks == CLICKS
    same(other.render_prob(together), renderer.render_prob(snapshot))


@pytest.mark.parametrize("num_kept", [0, 1, 3])
def test_click_after_undo_predicts_only_what_is_not_kept(
    storage, engine, make_renderer, monkeypatch, num_kept
):
    num_bytes = num_kept * 48 * 48 * 4  # the zoom of `ZOOM`, float32
    renderer = make_renderer(PredictionCache(num_bytes))
    snapshots = [ObjectSnapshot()]
    for click in CLICKS:
        snapshots.append(renderer.apply_clicks(snapshots[-1], (click,)))
    undone, other_click = snapshots[1], Click(30, 40, True)
    num_passes = 0

    def count(*args):
        nonlocal num_passes
        num_passes += 1
        return predict(*args)

    predict = engine.predict
    monkeypatch.setattr(engine, "predict", count)
    changed = renderer.apply_clicks(undone, (other_click,))
    assert num_passes == (1 if num_kept == 3 else 2)
    direct = make_renderer()
    expected = direct.apply_clicks(ObjectSnapshot(), (CLICKS[0], other_click))
    same(renderer.render_prob(changed), direct.render_prob(expected))
    same(renderer.render_mask(changed), direct.render_mask(expected))


def test_stored_mask_is_corrected_by_clicks(renderer):
    mask = np.zeros((60, 84), bool)
    mask[10:30, 20:50] = True
    snapshot = renderer.stage_mask(mask)
    assert snapshot == renderer.initial_snapshot(snapshot.initial_mask_id)
    assert snapshot.area == 600
    same(renderer.render_mask(snapshot), mask)
    same(renderer.render_prob(snapshot), mask)
    corrected = renderer.apply_clicks(snapshot, CLICKS[:1])
    assert corrected.initial_mask_id == snapshot.initial_mask_id
    without_mask = renderer.apply_clicks(ObjectSnapshot(), CLICKS[:1])
    corrected_prob = renderer.render_prob(corrected)
    assert (corrected_prob != renderer.render_prob(without_mask)).any()


def test_empty_mask_and_models_without_tokens_are_rejected(renderer):
    with pytest.raises(RequestRejected, match="empty"):
        renderer.stage_mask(np.zeros((60, 84), bool))
    with pytest.raises(RequestRejected, match="no token selection"):
        renderer.token_boxes(ObjectSnapshot())


def test_image_is_loaded_only_when_it_is_needed(make_renderer):
    num_reads = 0

    def read_pixels():
        nonlocal num_reads
        num_reads += 1
        return IMAGE

    renderer = make_renderer(read_pixels=read_pixels)
    snapshot = renderer.stage_mask(np.ones((60, 84), bool))
    assert renderer.render_mask(snapshot).all()
    assert not renderer.render_mask(ObjectSnapshot()).any()
    assert (num_reads, renderer.num_device_bytes) == (0, 0)
    renderer.render_prob(snapshot)
    renderer.render_prob(ObjectSnapshot())
    assert num_reads == 1 and renderer.num_device_bytes > 0
    renderer.release()
    renderer.render_prob(snapshot)
    assert num_reads == 2
