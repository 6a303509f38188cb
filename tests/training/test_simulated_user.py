from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from mst_jax.training.train_step import simulate_user
from tests.helpers.small_step import SIDE, Threshold, draw_batch, make_small_step
from tests.helpers.tiny_models import tiny_batch

BATCH = draw_batch()


def disk_predictor(clicks, previous):
    """Believes in a disk around each positive click, and remembers being asked."""
    rows = jnp.arange(SIDE)[:, None, None]
    columns = jnp.arange(SIDE)[None, :, None]

    def one(clicks, previous):
        yx = clicks.yx[None, None]
        squared = (rows - yx[..., 0]) ** 2 + (columns - yx[..., 1]) ** 2
        near = ((squared <= 16) & clicks.is_positive[None, None]).any(-1)
        return jnp.maximum(previous, near.astype(jnp.float32))

    return jax.vmap(one)(clicks, previous)


def test_a_batch_may_begin_without_a_click():
    """Each example then has exactly one positive click for each round, one at least."""

    def say(prob, key):
        said = simulate_user(
            key,
            disk_predictor,
            BATCH,
            max_first=2,
            max_rounds=2,
            no_click_prob=prob,
        )
        return said.clicks.num_clicks, said.num_rounds, said.clicks.label[:, 0]

    keys = jax.random.split(jax.random.key(0), 100)
    num_clicks, num_rounds, first = jax.jit(jax.vmap(partial(say, 1.0)))(keys[:12])
    np.testing.assert_array_equal(num_clicks, num_rounds)
    np.testing.assert_array_equal(first, np.ones((12, 2)))
    assert set(np.asarray(num_rounds).ravel()) == {1, 2}
    num_clicks, num_rounds, _ = jax.jit(jax.vmap(partial(say, 0.25)))(keys)
    assert 12 < (num_clicks == num_rounds).all(1).sum() < 40


def test_the_user_clicks_nought_to_three_times_more():
    said = jax.jit(
        lambda key: simulate_user(
            key,
            disk_predictor,
            BATCH,
            max_first=2,
            max_rounds=3,
            no_click_prob=0.0,
        )
    )
    rounds = set()
    for seed in range(24):
        result = said(jax.random.key(seed))
        num = np.asarray(result.num_rounds)
        assert num[0] == num[1]
        rounds.add(int(num[0]))
        first = np.asarray(result.clicks.num_clicks) - num
        assert ((first >= 1) & (first <= 4)).all()
        for clicks, target in zip(
            zip(result.clicks.yx, result.clicks.label, strict=True),
            np.asarray(BATCH.target),
            strict=True,
        ):
            yx, label = (np.asarray(part) for part in clicks)
            for (row, column), kind in zip(yx.astype(int), label, strict=True):
                if kind >= 0:
                    assert target[row, column] == bool(kind)
        if num[0] == 0:
            assert float(result.prob.max()) == 0.0
        else:
            assert float(result.prob.max()) == 1.0
    assert rounds == {0, 1, 2, 3}


def test_overlaps_are_told_by_the_round():
    """As many overlaps as rounds were played, then none."""
    run, told = make_small_step(Threshold(), {"bce": 1.0}), set()
    for seed in range(12):
        _, metrics = run({"gain": jnp.ones(2)}, tiny_batch(4, side=16), seed=seed)
        found = [float(metrics[f"iou_round{number}"]) for number in (1, 2, 3)]
        num = int(np.isfinite(found).sum())
        assert all(0.3 < one < 1 for one in found[:num])
        assert np.isnan(found[num:]).all()
        told.add(num)
    assert told == {0, 1, 2, 3}
