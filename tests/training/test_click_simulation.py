"""The simulated user of training: initial clicks, rounds and their metrics."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mst_jax.training.train_step import ClickSimulationOptions, simulate_clicks
from tests.helpers.small_step import (
    IMAGE_SIDE,
    BrightnessModel,
    make_small_batch,
    make_small_step,
)
from tests.helpers.tiny_models import tiny_batch

BATCH = make_small_batch()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"max_initial": 0}, "max_initial is 0, expected 1 or more"),
        ({"max_rounds": -1}, "max_rounds is -1, expected 0 or more"),
        ({"no_click_prob": 1.5}, "no_click_prob is 1.5 and max_rounds 3; expected 0"),
        ({"no_click_prob": 0.5, "max_rounds": 0}, "it needs max_rounds of 1 or more"),
    ],
)
def test_wrong_options_are_one_sentence(options, sentence):
    with pytest.raises(ValueError, match=sentence):
        ClickSimulationOptions(**options)


def predict_disks(clicks, prev_mask):
    """Predict a disk around each positive click, and keep what was predicted before."""
    rows = jnp.arange(IMAGE_SIDE)[:, None, None]
    columns = jnp.arange(IMAGE_SIDE)[None, :, None]

    def predict_example(clicks, prev_mask):
        yx = clicks.yx[None, None]
        squared_distance = (rows - yx[..., 0]) ** 2 + (columns - yx[..., 1]) ** 2
        in_disk = (squared_distance <= 16) & clicks.is_positive[None, None]
        return jnp.maximum(prev_mask, in_disk.any(-1).astype(jnp.float32))

    return jax.vmap(predict_example)(clicks, prev_mask)


def simulate(key, **options):
    options = ClickSimulationOptions(**options)
    return simulate_clicks(key, predict_disks, BATCH, options)


def test_a_batch_may_begin_without_a_click():
    """Each example then has one positive click for each round, and at least one round."""

    def count_clicks(no_click_prob, keys):
        def count(key):
            result = simulate(
                key, max_initial=2, max_rounds=2, no_click_prob=no_click_prob
            )
            first_label = result.clicks.label[:, 0]
            return result.clicks.num_clicks, result.num_rounds, first_label

        return jax.jit(jax.vmap(count))(keys)

    keys = jax.random.split(jax.random.key(0), 100)
    num_clicks, num_rounds, first_label = count_clicks(1.0, keys[:12])
    np.testing.assert_array_equal(num_clicks, num_rounds)
    np.testing.assert_array_equal(first_label, np.ones((12, 2)))
    assert set(np.asarray(num_rounds).ravel()) == {1, 2}
    num_clicks, num_rounds, _ = count_clicks(0.25, keys)
    assert 12 < (num_clicks == num_rounds).all(1).sum() < 40


def test_there_are_zero_to_three_corrections_on_the_correct_pixels():
    jitted = jax.jit(lambda key: simulate(key, max_initial=2, max_rounds=3))
    round_counts = set()
    for seed in range(24):
        result = jitted(jax.random.key(seed))
        num_rounds = np.asarray(result.num_rounds)
        assert num_rounds[0] == num_rounds[1]
        round_counts.add(int(num_rounds[0]))
        num_initial = np.asarray(result.clicks.num_clicks) - num_rounds
        assert ((num_initial >= 1) & (num_initial <= 4)).all()
        for clicks_yx, labels, target in zip(
            np.asarray(result.clicks.yx),
            np.asarray(result.clicks.label),
            np.asarray(BATCH.target),
            strict=True,
        ):
            for (row, column), label in zip(clicks_yx.astype(int), labels, strict=True):
                if label >= 0:
                    assert target[row, column] == bool(label)
        # Without a round there is no prediction.
        assert float(result.prob.max()) == float(num_rounds[0] > 0)
    assert round_counts == {0, 1, 2, 3}


def test_iou_metrics_exist_for_the_rounds_that_were_run():
    run_step, round_counts = make_small_step(BrightnessModel(), {"bce": 1.0}), set()
    for seed in range(12):
        batch = tiny_batch(4, side=16)
        _, metrics = run_step({"gain": jnp.ones(2)}, batch, seed=seed)
        ious = [float(metrics[f"iou_round{index}"]) for index in (1, 2, 3)]
        num_rounds = int(np.isfinite(ious).sum())
        assert all(0.3 < iou < 1 for iou in ious[:num_rounds])
        assert np.isnan(ious[num_rounds:]).all()
        round_counts.add(num_rounds)
    assert round_counts == {0, 1, 2, 3}
