"""Synthetic scenes: textured objects of very different sizes that hide one another.

A click model has to learn which pixels belong together. So the texture of an object has
edges of its own, neighbors may share a color, and one object may cut another in two.
"""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Float, UInt8, UInt16

from mst_jax.data.synthetic.outlines import draw_outline
from mst_jax.data.synthetic.textures import add_shading, draw_texture

_MIN_VISIBLE_AREA = 30  # pixels; an object with a smaller visible area gets no label
_MIN_CONTRAST = 0.12  # mean change of the strongest channel, 0 to 1
_MAX_SURFACE_TRIES = 4


def draw_scene(
    rng: np.random.Generator, *, size: int, num_objects: tuple[int, int] = (3, 9)
) -> tuple[UInt8[np.ndarray, "h w 3"], UInt16[np.ndarray, "h w"]]:
    """Draw an image and its label map.

    Args:
        rng: Random number generator.
        size: Height and width of the image in pixels.
        num_objects: Minimum and maximum number of objects drawn; hidden objects get no
            label.

    Returns:
        [h w 3] uint8 RGB image, and [h w] uint16 labels, 0 for the background.
    """
    # 1. The background. All surfaces share one palette.
    palette = rng.uniform(0.05, 0.95, (int(rng.integers(4, 8)), 3))
    canvas = add_shading(rng, draw_texture(rng, size=size, palette=palette))
    labels = np.zeros((size, size), np.uint16)
    # 2. The objects, each over those before it.
    for label, radius in enumerate(_sample_radii(rng, size, num_objects), start=1):
        center_yx = rng.uniform(0.0, size, 2)
        coverage = draw_outline(rng, size=size, center_yx=center_yx, radius=radius)
        surface = _draw_surface(rng, palette, canvas, coverage)
        canvas = _cast_shadow(rng, canvas, coverage)
        canvas += coverage[..., None] * (surface - canvas)
        labels[coverage > 0.5] = label
    # 3. The camera.
    return _simulate_camera(rng, canvas), _relabel_visible(labels)


def _sample_radii(
    rng: np.random.Generator, size: int, num_objects: tuple[int, int]
) -> list[float]:
    """Sample radii in pixels, uniform on a log scale.

    Large objects tend to come first, so that they are below the small ones.
    """
    num_drawn = int(rng.integers(num_objects[0], num_objects[1] + 1))
    object_radii = size * np.exp(rng.uniform(np.log(0.06), np.log(0.5), num_drawn))
    # Noise on the sorting key lets a large object hide a smaller one at times.
    drawing_order = np.argsort(-object_radii * np.exp(rng.normal(0.0, 0.5, num_drawn)))
    return object_radii[drawing_order].tolist()


def _draw_surface(
    rng: np.random.Generator,
    palette: Float[np.ndarray, "n 3"],
    canvas: Float[np.ndarray, "h w 3"],
    coverage: Float[np.ndarray, "h w"],
) -> Float[np.ndarray, "h w 3"]:
    """Draw a surface that differs from what the object hides.

    After a fixed number of attempts the last surface is taken in any case.
    """
    is_covered = (coverage > 0.5).view(np.uint8)
    for _ in range(_MAX_SURFACE_TRIES):
        surface_texture = draw_texture(rng, size=len(coverage), palette=palette)
        surface = add_shading(rng, surface_texture)
        mean_change = cv2.mean(np.abs(surface - canvas), is_covered)
        if max(mean_change) > _MIN_CONTRAST:
            break
    return surface


def _cast_shadow(
    rng: np.random.Generator,
    canvas: Float[np.ndarray, "h w 3"],
    coverage: Float[np.ndarray, "h w"],
) -> Float[np.ndarray, "h w 3"]:
    """Darken the canvas around the new object with probability 1/3."""
    if rng.random() > 0.33:
        return canvas
    size = len(coverage)
    # The shadow is the shifted and blurred shape of the object.
    shift_y, shift_x = rng.uniform(-0.03, 0.03, 2) * size
    translation_matrix = np.array([[1, 0, shift_x], [0, 1, shift_y]], np.float32)
    shifted_shape = cv2.warpAffine(coverage, translation_matrix, (size, size))
    shadow_shape = cv2.GaussianBlur(
        shifted_shape, (0, 0), rng.uniform(0.01, 0.03) * size
    )
    return canvas * (1.0 - rng.uniform(0.2, 0.5) * shadow_shape[..., None])


def _simulate_camera(
    rng: np.random.Generator, canvas: Float[np.ndarray, "h w 3"]
) -> UInt8[np.ndarray, "h w 3"]:
    """Blur a little, add noise, and quantize to 0..255."""
    if rng.random() < 0.5:
        canvas = cv2.GaussianBlur(canvas, (0, 0), rng.uniform(0.3, 0.8))
    sensor_noise = rng.standard_normal(canvas.shape, np.float32) * rng.uniform(
        0.0, 0.04
    )
    return np.clip((canvas + sensor_noise) * 255.0, 0.0, 255.0).astype(np.uint8)


def _relabel_visible(labels: UInt16[np.ndarray, "h w"]) -> UInt16[np.ndarray, "h w"]:
    """Assign new labels to sufficiently visible objects; the others are background."""
    visible_areas = np.bincount(labels.ravel())
    # The largest object is always kept, so that a scene is never empty.
    is_visible = visible_areas >= min(
        _MIN_VISIBLE_AREA, visible_areas[1:].max(initial=0)
    )
    is_visible[0] = False
    new_labels = np.where(is_visible, np.cumsum(is_visible), 0).astype(np.uint16)
    return new_labels[labels]
