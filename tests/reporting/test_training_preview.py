import jax
import jax.numpy as jnp
import numpy as np

from mst_jax.inference.selected_tokens import COARSE, FINE
from mst_jax.reporting.training_preview import GAP, draw_look
from mst_jax.structs import Chosen, Clicks, Look, TokenChoice
from tests.helpers.tiny_models import tiny_batch


def chosen(index, *, num_tokens, score=1.0):
    """One chosen token of two examples."""
    index = jnp.asarray(index)[:, None]
    scores = jnp.zeros((2, num_tokens)).at[jnp.arange(2), index[:, 0]].set(score)
    return Chosen(scores, index, jnp.ones((2, 1), bool), jnp.zeros((2, 1, 4)))


def test_rows_are_examples_and_columns_what_is_wanted_said_and_chosen():
    batch = tiny_batch(2, side=64)
    batch = jax.tree.map(jnp.zeros_like, batch)  # black, nothing wanted
    prob = jnp.zeros((2, 64, 64)).at[1, :32].set(1.0)
    clicks = [Clicks.from_lists([(32, 32)], num_slots=2), Clicks.empty(num_slots=2)]
    clicks = jax.tree.map(lambda *leaves: jnp.stack(leaves), *clicks)
    # Fine cells of 8 pixels, coarse ones of 32: the last, and the first.
    choice = TokenChoice(
        jnp.zeros((2, 4)),
        chosen([63, 0], num_tokens=64),
        chosen([0, 3], num_tokens=4),
        jnp.zeros((2, 1, 4)),
    )
    sheet = draw_look(Look(batch, clicks, prob, (choice,)))
    # Three times as large: 64 pixels are less than 192.
    assert sheet.shape == (3 * (2 * 64 + GAP), 3 * (4 * 64 + 3 * GAP), 3)
    small = sheet[::3, ::3]
    step = 64 + GAP
    rows = [small[i * step : i * step + 64] for i in range(2)]
    cells = [[row[:, j * step : j * step + 64] for j in range(4)] for row in rows]
    assert cells[0][0][32, 32, 1] > 150  # a green dot
    assert not cells[1][0].any() and not cells[0][1].any()
    assert cells[1][1][:30].all(-1).any() and not cells[1][1][40:].any()
    np.testing.assert_array_equal(
        cells[1][2][..., 0], 255 * (np.arange(64) < 32)[:, None] * np.ones(64, int)
    )
    assert (small[64 : 64 + GAP] == 255).all()
    fine, coarse = cells[0][3][58:62, 58:62], cells[0][3][0, 5]
    np.testing.assert_allclose(
        fine.mean((0, 1)) / FINE[0], np.array(FINE) / 255 * 0.55, atol=0.02
    )
    np.testing.assert_array_equal(coarse, COARSE)
