import jax
import jax.numpy as jnp
import numpy as np

from mst_jax.reporting.training_samples import make_visualization_fn
from mst_jax.training.train_step import ClickSimulationOptions
from tests.helpers.small_step import BrightnessModel
from tests.helpers.tiny_models import tiny_batch


def test_predictions_follow_clicks_simulated_as_in_training():
    options = ClickSimulationOptions(max_initial=2, max_rounds=2)
    visualize = make_visualization_fn(BrightnessModel(), options)
    batch, params = tiny_batch(3, side=16), {"gain": jnp.array([1.0, 0.0])}
    click_counts = set()
    for seed in range(4):
        examples = visualize(params, batch, jax.random.key(seed))
        is_bright = batch.image.mean(-1) / 255.0 > 0.4
        np.testing.assert_array_equal(examples.prob > 0.5, is_bright)
        assert (examples.clicks.num_clicks >= 1).all() and examples.selections == ()
        np.testing.assert_array_equal(examples.batch.target, batch.target)
        click_counts.add(tuple(examples.clicks.num_clicks.tolist()))
    assert len(click_counts) > 1
