import jax
import jax.numpy as jnp
import numpy as np

from mst_jax.inference.selected_tokens import COARSE_COLOR, FINE_COLOR
from mst_jax.reporting.training_preview import GAP_PIXELS, draw_examples
from mst_jax.reporting.training_samples import VisualizationBatch
from mst_jax.structs import Clicks, SelectedTokens, TokenSelectionOutput
from tests.helpers.tiny_models import tiny_batch

SIDE = 64


def select_one_token(index, *, num_tokens):
    """Selects one token with score 1 in each of two examples."""
    index = jnp.asarray(index)[:, None]
    scores = jnp.zeros((2, num_tokens)).at[jnp.arange(2), index[:, 0]].set(1.0)
    selected = jnp.ones((2, 1), bool)
    return SelectedTokens(scores, index, selected, jnp.zeros((2, 1, 4)))


def test_rows_are_examples_and_columns_target_mask_probability_and_tokens():
    batch = tiny_batch(2, side=SIDE)
    batch = jax.tree.map(jnp.zeros_like, batch)  # black images, empty targets
    prob = jnp.zeros((2, SIDE, SIDE)).at[1, :32].set(1.0)
    clicks = [Clicks.from_lists([(32, 32)], num_slots=2), Clicks.empty(num_slots=2)]
    clicks = jax.tree.map(lambda *leaves: jnp.stack(leaves), *clicks)
    # Fine tokens of 8 pixels, coarse ones of 32: the last, and the first.
    selection = TokenSelectionOutput(
        jnp.zeros((2, 4)),
        select_one_token([63, 0], num_tokens=64),
        select_one_token([0, 3], num_tokens=4),
        jnp.zeros((2, 1, 4)),
    )
    sheet = draw_examples(VisualizationBatch(batch, clicks, prob, (selection,)))
    # Three times enlarged: 64 pixels are less than 192.
    height, width = 2 * SIDE + GAP_PIXELS, 4 * SIDE + 3 * GAP_PIXELS
    assert sheet.shape == (3 * height, 3 * width, 3)
    sheet = sheet[::3, ::3]
    step = SIDE + GAP_PIXELS
    images = [
        [sheet[i * step :, j * step :][:SIDE, :SIDE] for j in range(4)]
        for i in range(2)
    ]
    # 1. The click is a green dot; the empty mask and the empty target stay black.
    assert images[0][0][32, 32, 1] > 150
    assert not images[1][0].any() and not images[0][1].any()
    # 2. The upper half of the second example is predicted.
    assert images[1][1][:30].all(-1).any() and not images[1][1][40:].any()
    upper_half = 255 * (np.arange(SIDE) < 32)[:, None] * np.ones(SIDE, int)
    np.testing.assert_array_equal(images[1][2][..., 0], upper_half)
    assert (sheet[SIDE : SIDE + GAP_PIXELS] == 255).all()
    # 3. The fine token is tinted, the coarse one has an outline.
    fine, coarse = images[0][3][58:62, 58:62], images[0][3][0, 5]
    np.testing.assert_allclose(
        fine.mean((0, 1)) / FINE_COLOR[0], np.array(FINE_COLOR) / 255 * 0.55, atol=0.02
    )
    np.testing.assert_array_equal(coarse, COARSE_COLOR)
