import jax
import jax.numpy as jnp
import numpy as np

from mst_jax.reporting.training_samples import make_look
from tests.helpers.small_step import Threshold
from tests.helpers.tiny_models import tiny_batch


def test_a_look_is_a_prediction_after_clicks_of_the_training_kind():
    look = make_look(Threshold(), max_first=2, max_rounds=2)
    batch, params = tiny_batch(3, side=16), {"gain": jnp.array([1.0, 0.0])}
    rounds = set()
    for seed in range(4):
        seen = look(params, batch, jax.random.key(seed))
        bright = batch.image.mean(-1) / 255.0 > 0.4
        np.testing.assert_array_equal(seen.prob > 0.5, bright)
        assert (seen.clicks.num_clicks >= 1).all() and seen.choices == ()
        np.testing.assert_array_equal(seen.batch.target, batch.target)
        rounds.add(tuple(seen.clicks.num_clicks.tolist()))
    assert len(rounds) > 1
