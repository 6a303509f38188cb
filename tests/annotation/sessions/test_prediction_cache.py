import numpy as np

from mst_jax.annotation.serving.compiled_steps import RoiPrediction
from mst_jax.annotation.sessions.prediction_cache import PredictionCache, PredictionKey
from mst_jax.inference.click_session import Click

ROI = np.array([0, 1, 0, 1], np.int32)


def make_key(num_clicks: int) -> PredictionKey:
    return PredictionKey("one", None, (Click(1, 2, True),) * num_clicks)


def make_prediction(value: float, size: int = 2) -> RoiPrediction:
    return RoiPrediction(np.full((size, size), value, np.float32), ROI)


def test_least_recently_used_prediction_is_dropped():
    cache = PredictionCache(max_bytes=2 * 16)
    for num_clicks in (1, 2):
        cache.put(make_key(num_clicks), make_prediction(num_clicks))
    assert cache.get(make_key(1)).prob[0, 0] == 1
    cache.put(make_key(3), make_prediction(3))
    values = [cache.get(make_key(num_clicks)) for num_clicks in (1, 2, 3)]
    assert values[1] is None and (values[0].prob == 1).all() and values[2] is not None


def test_key_distinguishes_sessions_masks_and_clicks():
    cache, key = PredictionCache(), make_key(1)
    cache.put(key, make_prediction(1))
    for other in (
        key._replace(session_id="two"),
        key._replace(initial_mask_id=1),
        key._replace(clicks=(Click(1, 2, False),)),
    ):
        assert cache.get(other) is None
    assert cache.get(make_key(1)) is not None


def test_replaced_and_too_large_predictions_are_counted():
    cache = PredictionCache(max_bytes=2 * 16)
    for value in range(5):
        cache.put(make_key(1), make_prediction(value))
    cache.put(make_key(2), make_prediction(7))
    assert cache.get(make_key(1)).prob[0, 0] == 4
    cache.put(make_key(3), make_prediction(8, size=9))
    assert cache.get(make_key(3)) is None


def test_prediction_does_not_keep_its_batch():
    cache, batch = PredictionCache(), np.zeros((8, 2, 2), np.float32)
    cache.put(make_key(1), RoiPrediction(batch[0], ROI))
    assert cache.get(make_key(1)).prob.base is None
