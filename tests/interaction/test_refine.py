import jax.numpy as jnp
import numpy as np
import pytest

from mst_jax.interaction.refine import RefinementOptions, refine
from mst_jax.structs import Clicks

IMAGE_WIDTH = 10


def fill_one_more_column(clicks, prob, roi):
    """A model that adds a column to its last mask, up to twice the clicks plus two."""
    column = jnp.arange(IMAGE_WIDTH)[None, None, :]
    num_filled = (prob > 0.5).sum(axis=2, keepdims=True)
    max_filled = 2 * clicks.num_clicks[:, None, None] + 2
    is_filled = column < jnp.minimum(num_filled + 1, max_filled)
    return jnp.where(is_filled, 0.9, 0.1), roi + 1


def refined(*num_clicks, **changes):
    """The number of filled columns and of forward passes of each example."""
    num_examples = len(num_clicks)
    is_filled = jnp.arange(3)[None] < jnp.array(num_clicks)[:, None]
    clicks = Clicks(jnp.zeros((num_examples, 3, 2)), jnp.where(is_filled, 1, -1))
    prob = jnp.zeros((num_examples, 1, IMAGE_WIDTH))
    num_passes = jnp.zeros((num_examples, 4), int)
    options = RefinementOptions(**{"num_steps": 9} | changes)
    prob, num_passes = refine(
        fill_one_more_column, clicks, prob, num_passes, options=options
    )
    num_columns = (np.asarray(prob) > 0.5).sum((1, 2))
    return [num_columns.tolist(), num_passes[:, 0].tolist()]


def test_number_of_steps():
    assert refined(1, 2, num_steps=0) == [[1, 1], [1, 1]]
    assert refined(1, 2, num_steps=2) == [[3, 3], [3, 3]]


def test_only_sessions_with_few_clicks_are_refined():
    assert refined(1, 2, 3, num_steps=2, max_clicks=2) == [[3, 3, 1], [3, 3, 1]]


def test_an_example_without_a_click_is_predicted_once():
    assert refined(0, 1, num_steps=2) == [[1, 3], [1, 3]]


def test_refinement_stops_when_the_mask_converges():
    """It fills 4 or 6 columns, and one more step shows that no more are added."""
    assert refined(1, 2, convergence_pixels=0) == [[4, 6], [5, 7]]
    assert refined(1, 2, convergence_pixels=1) == [[2, 2], [2, 2]]
    assert refined(1, 2) == [[4, 6], [10, 10]]


@pytest.mark.parametrize("name", ["num_steps", "max_clicks", "convergence_pixels"])
def test_a_negative_option_is_named(name):
    with pytest.raises(ValueError, match=f"refinement {name} is -1, expected"):
        RefinementOptions(**{name: -1})
