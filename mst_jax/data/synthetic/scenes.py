"""Drawn scenes: textured objects of very different sizes that hide one another.

What a click model has to learn is what belongs together: so an object's texture has edges
of its own, neighbours may share a colour, and a thing may be cut in two by another.
"""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Float, UInt8, UInt16

from mst_jax.data.synthetic.outlines import draw_outline
from mst_jax.data.synthetic.textures import draw_texture, shade

_MIN_VISIBLE = 30  # pixels; a smaller rest of a hidden object carries no label
_MIN_CONTRAST = 0.12  # mean change of the strongest channel, 0 to 1
_PAINT_TRIES = 4


def draw_scene(
    rng: np.random.Generator, *, size: int, num_objects: tuple[int, int] = (3, 9)
) -> tuple[UInt8[np.ndarray, "h w 3"], UInt16[np.ndarray, "h w"]]:
    """Draws a picture and its label map.

    Args:
        rng: source of chance.
        size: height and width in pixels.
        num_objects: least and most objects drawn; hidden ones carry no label.

    Returns:
        [h w 3] uint8 RGB and [h w] uint16 labels, 0 background, 1 and up objects.
    """
    palette = rng.uniform(0.05, 0.95, (int(rng.integers(4, 8)), 3))
    canvas = shade(rng, draw_texture(rng, size=size, palette=palette))
    labels = np.zeros((size, size), np.uint16)
    for label, radius in enumerate(_draw_radii(rng, size, num_objects), start=1):
        centre = rng.uniform(0.0, size, 2)
        cover = draw_outline(rng, size=size, centre_yx=centre, radius=radius)
        paint = _draw_paint(rng, palette, canvas, cover)
        canvas = _cast_shadow(rng, canvas, cover)
        canvas += cover[..., None] * (paint - canvas)
        labels[cover > 0.5] = label
    return _photograph(rng, canvas), _keep_visible(labels)


def _draw_radii(
    rng: np.random.Generator, size: int, num_objects: tuple[int, int]
) -> list[float]:
    """Radii in pixels, evenly on a log scale; the large tend to lie below the small."""
    number = int(rng.integers(num_objects[0], num_objects[1] + 1))
    radii = size * np.exp(rng.uniform(np.log(0.06), np.log(0.5), number))
    order = np.argsort(-radii * np.exp(rng.normal(0.0, 0.5, number)))
    return radii[order].tolist()


def _draw_paint(
    rng: np.random.Generator,
    palette: Float[np.ndarray, "n 3"],
    canvas: Float[np.ndarray, "h w 3"],
    cover: Float[np.ndarray, "h w"],
) -> Float[np.ndarray, "h w 3"]:
    """Draws a surface; one that cannot be told from what it hides is drawn again."""
    for _ in range(_PAINT_TRIES):
        paint = shade(rng, draw_texture(rng, size=len(cover), palette=palette))
        change = cv2.mean(np.abs(paint - canvas), (cover > 0.5).view(np.uint8))
        if max(change) > _MIN_CONTRAST:
            break
    return paint


def _cast_shadow(
    rng: np.random.Generator,
    canvas: Float[np.ndarray, "h w 3"],
    cover: Float[np.ndarray, "h w"],
) -> Float[np.ndarray, "h w 3"]:
    """Darkens what lies beside and below the new object, in every third case."""
    if rng.random() > 0.33:
        return canvas
    size = len(cover)
    dy, dx = rng.uniform(-0.03, 0.03, 2) * size
    moved = cv2.warpAffine(cover, np.float32([[1, 0, dx], [0, 1, dy]]), (size, size))
    soft = cv2.GaussianBlur(moved, (0, 0), rng.uniform(0.01, 0.03) * size)
    return canvas * (1.0 - rng.uniform(0.2, 0.5) * soft[..., None])


def _photograph(
    rng: np.random.Generator, canvas: Float[np.ndarray, "h w 3"]
) -> UInt8[np.ndarray, "h w 3"]:
    """Blurs a little, adds noise, and rounds to 0..255."""
    if rng.random() < 0.5:
        canvas = cv2.GaussianBlur(canvas, (0, 0), rng.uniform(0.3, 0.8))
    noise = rng.standard_normal(canvas.shape, np.float32) * rng.uniform(0.0, 0.04)
    return np.clip((canvas + noise) * 255.0, 0.0, 255.0).astype(np.uint8)


def _keep_visible(labels: UInt16[np.ndarray, "h w"]) -> UInt16[np.ndarray, "h w"]:
    """Renumbers the objects of which enough is seen; the others become background."""
    areas = np.bincount(labels.ravel())
    seen = areas >= min(_MIN_VISIBLE, areas[1:].max(initial=0))
    seen[0] = False
    return np.where(seen, np.cumsum(seen), 0).astype(np.uint16)[labels]
