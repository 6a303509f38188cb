import jax.numpy as jnp
import numpy as np

from mst_jax.interaction.refine import refine
from mst_jax.structs import Clicks

WIDTH = 10


def one_column_more(clicks, prob, region):
    """A model that adds a column to its last mask, up to twice the clicks plus two."""
    column = jnp.arange(WIDTH)[None, None, :]
    filled = (prob > 0.5).sum(axis=2, keepdims=True)
    most = 2 * clicks.num_clicks[:, None, None] + 2
    return jnp.where(column < jnp.minimum(filled + 1, most), 0.9, 0.1), region + 1


def looked(*num_clicks, **settings):
    """Columns that were filled and looks that were made, for each example."""
    num = len(num_clicks)
    label = jnp.arange(3)[None] < jnp.array(num_clicks)[:, None]
    clicks = Clicks(jnp.zeros((num, 3, 2)), jnp.where(label, 1, -1))
    start = jnp.zeros((num, 1, WIDTH)), jnp.zeros((num, 4), int)
    settings = dict(num_more=9, first_clicks=3) | settings
    prob, region = refine(one_column_more, clicks, *start, **settings)
    return [(np.asarray(prob) > 0.5).sum((1, 2)).tolist(), region[:, 0].tolist()]


def test_so_many_looks_more():
    assert looked(1, 2, num_more=0) == [[1, 1], [1, 1]]
    assert looked(1, 2, num_more=2) == [[3, 3], [3, 3]]


def test_only_the_first_clicks_are_looked_at_again():
    assert looked(1, 2, 3, num_more=2, first_clicks=2) == [[3, 3, 1], [3, 3, 1]]


def test_no_click_is_looked_at_once():
    assert looked(0, 1, num_more=2) == [[1, 3], [1, 3]]


def test_looks_end_when_the_mask_stands_still():
    """It fills 4 or 6 columns, and one look more shows that no more come."""
    assert looked(1, 2, least_change=0) == [[4, 6], [5, 7]]
    assert looked(1, 2, least_change=1) == [[2, 2], [2, 2]]
    assert looked(1, 2) == [[4, 6], [10, 10]]
