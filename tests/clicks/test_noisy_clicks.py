from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mst_jax.clicks.next_click import evaluation_click
from mst_jax.clicks.noisy_clicks import noisy_click
from mst_jax.structs import Clicks

HEIGHT, WIDTH = 24, 32
TARGET = np.zeros((HEIGHT, WIDTH), bool)
TARGET[4:19, 8:23] = True  # 15x15 about (11, 15)
NO_CLICK = Clicks.empty(num_slots=3)


@partial(jax.jit, static_argnames="random_first")
def sample_clicks(seeds, prob, target, clicks, click_spread, random_first=False):
    """Sample the clicks of many users."""
    valid = jnp.ones_like(target)
    click = partial(noisy_click, click_spread=click_spread, random_first=random_first)
    return jax.vmap(
        lambda seed: click(jax.random.key(seed), prob, target, valid, clicks)
    )(seeds)


SEEDS = jnp.arange(400)
EMPTY_PROB = jnp.zeros((HEIGHT, WIDTH))


@pytest.mark.parametrize("prob_value", [0.0, 0.9])
def test_without_spread_it_is_the_best_pixel(prob_value):
    prob = jnp.full((HEIGHT, WIDTH), prob_value)
    click_yx, label = sample_clicks(SEEDS, prob, TARGET, NO_CLICK, click_spread=0.0)
    valid = jnp.ones_like(TARGET)
    best = jax.jit(evaluation_click)(prob, jnp.asarray(TARGET), valid, NO_CLICK)
    np.testing.assert_array_equal(click_yx, jnp.broadcast_to(best[0], (400, 2)))
    np.testing.assert_array_equal(label, jnp.broadcast_to(best[1], (400,)))


def test_the_spread_is_relative_to_the_error_distance():
    """The best click_yx is 8 pixels deep: the deviation is 2, rounding adds 1/12."""
    click_yx, label = sample_clicks(
        SEEDS, EMPTY_PROB, TARGET, NO_CLICK, click_spread=0.25
    )
    assert (label == 1).all()
    np.testing.assert_allclose(click_yx.mean(axis=0), [11, 15], atol=0.3)
    np.testing.assert_allclose(click_yx.std(axis=0), np.sqrt(4 + 1 / 12), rtol=0.1)


def test_clicks_stay_on_the_error_and_off_clicked_pixels():
    clicks = NO_CLICK.append(jnp.array([11, 15]), 1)
    click_yx, _ = sample_clicks(SEEDS, EMPTY_PROB, TARGET, clicks, click_spread=3.0)
    assert TARGET[tuple(np.asarray(click_yx).T)].all()
    assert not (np.asarray(click_yx) == [11, 15]).all(axis=1).any()


def test_the_first_click_may_lie_anywhere_on_the_object():
    click_yx, label = sample_clicks(
        SEEDS, EMPTY_PROB, TARGET, NO_CLICK, click_spread=0.0, random_first=True
    )
    assert TARGET[tuple(np.asarray(click_yx).T)].all() and (label == 1).all()
    np.testing.assert_allclose(
        click_yx.std(axis=0), np.sqrt((15**2 - 1) / 12), rtol=0.1
    )
    clicks = NO_CLICK.append(jnp.array([4, 8]), 1)
    again, _ = sample_clicks(
        SEEDS, EMPTY_PROB, TARGET, clicks, click_spread=0.0, random_first=True
    )
    np.testing.assert_array_equal(again, [[11, 15]] * 400)


def test_padding_changes_nothing():
    settings = dict(click_spread=0.5, random_first=True)
    padded = np.pad(TARGET, [(0, 9), (0, 5)])
    for clicks in (NO_CLICK, NO_CLICK.append(jnp.array([4, 8]), 1)):
        small = sample_clicks(SEEDS, EMPTY_PROB, TARGET, clicks, **settings)
        large = sample_clicks(
            SEEDS, jnp.zeros(padded.shape), padded, clicks, **settings
        )
        np.testing.assert_array_equal(small[0], large[0])
