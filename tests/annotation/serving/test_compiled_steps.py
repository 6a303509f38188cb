from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from mst_jax.annotation.serving import compiled_steps
from mst_jax.inference.click_session import Click, in_slots
from mst_jax.interaction.zoom_predict import as_tree, predict
from tests.helpers.analytic_network import bumps
from tests.helpers.annotation_client import IMAGE, VIEW

places = st.tuples(st.integers(0, 59), st.integers(0, 83), st.booleans())


def test_framing_looking_and_putting_back_are_one_prediction():
    whole = jnp.asarray(IMAGE)[None]
    size, region = jnp.array([[60, 84]]), jnp.array([[5, 50, 8, 70]])
    prob = jnp.asarray(np.random.default_rng(0).random((1, 60, 84)), jnp.float32)
    clicks = in_slots((Click(20, 30, True), Click(2, 3, False)))
    whole_prediction = jax.jit(partial(predict, bumps, **VIEW))
    floats = whole / jnp.float32(255)
    want, seen = whole_prediction(floats, size, clicks, prob, region)
    view = {key: VIEW[key] for key in ("zoom", "zoom_min_side")}
    framed, region = compiled_steps.frame(whole, size, clicks, prob, region, **view)
    patch = compiled_steps.look(as_tree(bumps), (framed,), mirror=True)
    got, mask = compiled_steps.put_back(patch, region, shape=(60, 84), zoom=48)
    np.testing.assert_array_equal(region, seen)
    np.testing.assert_allclose(got, want, atol=1e-5)
    np.testing.assert_array_equal(mask, got > 0.49)


@settings(max_examples=10)
@given(st.lists(places, min_size=4, max_size=4))
def test_looking_together_is_looking_one_by_one(chosen):
    def framed(row: int, column: int, positive: bool) -> compiled_steps.Framed:
        rng = np.random.default_rng(row)
        layers = jnp.asarray(rng.random((1, 48, 48, 4)), jnp.float32)
        return compiled_steps.Framed(layers, in_slots((Click(row, column, positive),)))

    alone = [framed(*place) for place in chosen]
    together = compiled_steps.look(as_tree(bumps), tuple(alone), mirror=True)
    for one, got in zip(alone, together, strict=True):
        want = compiled_steps.look(as_tree(bumps), (one,), mirror=True)[0]
        np.testing.assert_allclose(got, want, atol=1e-5)


def test_framed_pictures_travel_as_a_tree():
    framed = compiled_steps.Framed(jnp.zeros((1, 2, 2, 4)), in_slots(()))
    assert len(jax.tree.leaves(framed)) == 3
