"""A look at training examples as one picture."""

import jax
import numpy as np
from jaxtyping import UInt8

from mst_jax.clicks.next_click import THRESHOLD
from mst_jax.inference import overlay
from mst_jax.inference.selected_tokens import both_scales, draw_cells
from mst_jax.reporting.session_sheet import TARGET_COLOR
from mst_jax.structs import Look

GAP = 4  # pixels between pictures
LEAST_SIDE = 192  # smaller pictures are enlarged, pixel by pixel
WHITE = 255


def draw_look(look: Look) -> UInt8[np.ndarray, "h w 3"]:
    """One row an example: wanted mask and clicks, predicted mask, probability, tokens.

    Tokens have a picture for each selection of the model, none without.
    """
    look = jax.tree.map(np.asarray, look)
    rows = [
        _row(jax.tree.map(lambda leaf, i=i: leaf[i], look))
        for i in range(len(look.prob))
    ]
    sheet = _beside([_beside(row, axis=1) for row in rows], axis=0)
    times = -(-LEAST_SIDE // look.prob.shape[1])
    return sheet.repeat(times, axis=0).repeat(times, axis=1)


def _row(look: Look) -> list[UInt8[np.ndarray, "h w 3"]]:
    """The pictures of one example, without the batch's axis."""
    image = look.batch.image
    kept = look.clicks.label >= 0
    clicks = np.column_stack([look.clicks.yx[kept], look.clicks.label[kept]])
    grey = np.rint(255 * look.prob).astype(np.uint8)[..., None].repeat(3, axis=-1)
    return [
        overlay.draw(image, look.batch.target, clicks, color=TARGET_COLOR),
        overlay.draw(image, look.prob > THRESHOLD),
        grey,
        *(_draw_choice(image, choice) for choice in look.choices),
    ]


def _draw_choice(image, choice):
    """The tokens of one selection, which saw the whole picture."""
    fine, coarse = both_scales(choice, whole=image.shape[:2])
    return draw_cells(image, fine, coarse)


def _beside(pictures, *, axis):
    """Pictures in a row or in a column, with gaps."""
    shape = list(pictures[0].shape)
    shape[axis] = GAP
    gap = np.full(shape, WHITE, np.uint8)
    parts = [part for picture in pictures for part in (picture, gap)]
    return np.concatenate(parts[:-1], axis=axis)
