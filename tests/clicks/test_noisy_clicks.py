from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mst_jax.clicks.next_click import evaluation_click
from mst_jax.clicks.noisy_clicks import careless_click
from mst_jax.structs import Clicks

HEIGHT, WIDTH = 24, 32
TARGET = np.zeros((HEIGHT, WIDTH), bool)
TARGET[4:19, 8:23] = True  # 15x15 about (11, 15)
NONE = Clicks.empty(num_slots=3)


@partial(jax.jit, static_argnames="first_anywhere")
def clicked(seeds, prob, target, clicks, spread, first_anywhere=False):
    """The clicks of many users."""
    valid = jnp.ones_like(target)
    click = partial(careless_click, spread=spread, first_anywhere=first_anywhere)
    return jax.vmap(
        lambda seed: click(jax.random.key(seed), prob, target, valid, clicks)
    )(seeds)


SEEDS = jnp.arange(400)
EMPTY = jnp.zeros((HEIGHT, WIDTH))


@pytest.mark.parametrize("shown", [0.0, 0.9])
def test_without_spread_it_is_the_best_place(shown):
    prob = jnp.full((HEIGHT, WIDTH), shown)
    place, label = clicked(SEEDS, prob, TARGET, NONE, spread=0.0)
    valid = jnp.ones_like(TARGET)
    best = evaluation_click(prob, jnp.asarray(TARGET), valid, NONE)
    np.testing.assert_array_equal(place, jnp.broadcast_to(best[0], (400, 2)))
    np.testing.assert_array_equal(label, jnp.broadcast_to(best[1], (400,)))


def test_the_spread_is_a_share_of_the_depth():
    """The best place is 8 pixels deep: the deviation is 2, rounding adds 1/12."""
    place, label = clicked(SEEDS, EMPTY, TARGET, NONE, spread=0.25)
    assert (label == 1).all()
    np.testing.assert_allclose(place.mean(axis=0), [11, 15], atol=0.3)
    np.testing.assert_allclose(place.std(axis=0), np.sqrt(4 + 1 / 12), rtol=0.1)


def test_clicks_stay_on_the_error_and_leave_clicked_pixels_alone():
    said = NONE.append(jnp.array([11, 15]), 1)
    place, _ = clicked(SEEDS, EMPTY, TARGET, said, spread=3.0)
    assert TARGET[tuple(np.asarray(place).T)].all()
    assert not (np.asarray(place) == [11, 15]).all(axis=1).any()


def test_the_first_click_may_fall_anywhere_on_the_object():
    place, label = clicked(SEEDS, EMPTY, TARGET, NONE, spread=0.0, first_anywhere=True)
    assert TARGET[tuple(np.asarray(place).T)].all() and (label == 1).all()
    np.testing.assert_allclose(place.std(axis=0), np.sqrt((15**2 - 1) / 12), rtol=0.1)
    said = NONE.append(jnp.array([4, 8]), 1)
    again, _ = clicked(SEEDS, EMPTY, TARGET, said, spread=0.0, first_anywhere=True)
    np.testing.assert_array_equal(again, [[11, 15]] * 400)


def test_padding_changes_nothing():
    settings = dict(spread=0.5, first_anywhere=True)
    padded = np.pad(TARGET, [(0, 9), (0, 5)])
    for said in (NONE, NONE.append(jnp.array([4, 8]), 1)):
        small = clicked(SEEDS, EMPTY, TARGET, said, **settings)
        large = clicked(SEEDS, jnp.zeros(padded.shape), padded, said, **settings)
        np.testing.assert_array_equal(small[0], large[0])
