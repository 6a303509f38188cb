"""Outlines of synthetic objects, drawn as the coverage of each pixel from 0 to 1."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from jaxtyping import Float

_SUPERSAMPLING_FACTOR = (
    3  # outlines are drawn this much larger, then averaged: soft edges
)
_NUM_CURVE_POINTS = 96  # corners of the polygon that approximates a curve

# [n 2] corners (y, x) of a polygon around the origin, in units of the object's radius.
PolygonCorners = Float[np.ndarray, "n 2"]
# A polygon and its gray value: 255 adds to the object, 0 cuts a hole into it.
FilledPolygon = tuple[PolygonCorners, int]


def draw_outline(
    rng: np.random.Generator,
    *,
    size: int,
    center_yx: Float[np.ndarray, " 2"],
    radius: float,
) -> Float[np.ndarray, "h w"]:
    """Draw one object of random shape, aspect ratio and direction.

    Args:
        rng: Random number generator.
        size: Height and width of the image in pixels.
        center_yx: [2] row and column of the object's center in pixels.
        radius: About half the object's length in pixels.

    Returns:
        [h w] float32 fraction of each pixel that the object covers.
    """
    # 1. A random shape in units of the radius.
    draw_shape = _SHAPE_FUNCTIONS[int(rng.integers(len(_SHAPE_FUNCTIONS)))]
    filled_polygons = draw_shape(rng)
    # 2. Flatten it, rotate it and scale it to pixels of the enlarged canvas.
    rotation_angle, aspect_ratio = rng.uniform(0.0, 2 * np.pi), rng.uniform(0.45, 1.0)
    rotation_matrix = np.array(
        [
            [np.cos(rotation_angle), -np.sin(rotation_angle)],
            [np.sin(rotation_angle), np.cos(rotation_angle)],
        ]
    )
    shape_transform = (
        (rotation_matrix * [1.0, aspect_ratio]) * radius * _SUPERSAMPLING_FACTOR
    )
    enlarged_canvas = np.zeros(
        (size * _SUPERSAMPLING_FACTOR, size * _SUPERSAMPLING_FACTOR), np.uint8
    )
    for polygon_corners, fill_value in filled_polygons:
        corners_yx = (
            polygon_corners @ shape_transform.T + center_yx * _SUPERSAMPLING_FACTOR
        )
        # OpenCV expects (x, y).
        corners_xy = np.rint(corners_yx[:, ::-1]).astype(np.int32)
        cv2.fillPoly(enlarged_canvas, [corners_xy], fill_value)
    # 3. The mean over each pixel of the image is its coverage.
    coverage = cv2.resize(enlarged_canvas, (size, size), interpolation=cv2.INTER_AREA)
    return coverage.astype(np.float32) / 255.0


def _curve_angles() -> Float[np.ndarray, " n"]:
    return np.linspace(0.0, 2 * np.pi, _NUM_CURVE_POINTS, endpoint=False)


def _unit_vectors(angles: Float[np.ndarray, " n"]) -> PolygonCorners:
    return np.stack([np.sin(angles), np.cos(angles)], 1)


def _circle_corners(radius: Float[np.ndarray, " n"] | float) -> PolygonCorners:
    return _unit_vectors(_curve_angles()) * np.reshape(radius, (-1, 1))


def _draw_ellipse(rng: np.random.Generator) -> list[FilledPolygon]:
    """Draw a circle, which `draw_outline` flattens."""
    return [(_circle_corners(1.0), 255)]


def _draw_blob(rng: np.random.Generator) -> list[FilledPolygon]:
    """Draw a circle whose radius oscillates 2 to 6 times per turn."""
    angles = _curve_angles()
    radius = np.ones(_NUM_CURVE_POINTS)
    # Faster oscillations are weaker, so that the outline stays smooth.
    for frequency in range(2, 7):
        amplitude = rng.normal(0.0, 0.32 / frequency)
        phase_shift = rng.uniform(0.0, 2 * np.pi)
        radius += amplitude * np.cos(frequency * angles + phase_shift)
    return [(_circle_corners(np.clip(radius, 0.25, 1.5)), 255)]


def _draw_polygon(rng: np.random.Generator) -> list[FilledPolygon]:
    """Draw a polygon of 3 to 9 corners at uneven angles and distances."""
    num_corners = int(rng.integers(3, 10))
    angle_noise = rng.uniform(-0.3, 0.3, num_corners)
    angles = 2 * np.pi * (np.arange(num_corners) + angle_noise) / num_corners
    radius = rng.uniform(0.55, 1.1, num_corners)
    return [(_unit_vectors(angles) * radius[:, None], 255)]


def _draw_star(rng: np.random.Generator) -> list[FilledPolygon]:
    """Draw a star of 4 to 8 points."""
    num_points = int(rng.integers(4, 9))
    angles = np.pi * np.arange(2 * num_points) / num_points
    # Outer and inner corners alternate.
    radius = np.tile([1.1, rng.uniform(0.35, 0.7)], num_points)
    return [(_unit_vectors(angles) * radius[:, None], 255)]


def _draw_box(rng: np.random.Generator) -> list[FilledPolygon]:
    """Draw a square with corners between sharp and round, a superellipse."""
    corner_exponent = 2.0 / rng.uniform(3.0, 20.0)
    unit_directions = _unit_vectors(_curve_angles())
    polygon_corners = (
        np.sign(unit_directions) * np.abs(unit_directions) ** corner_exponent * 0.85
    )
    return [(polygon_corners, 255)]


def _draw_ring(rng: np.random.Generator) -> list[FilledPolygon]:
    """Draw a blob or a circle with a hole off its center."""
    outer_polygon, *_ = _draw_blob(rng) if rng.random() < 0.5 else _draw_ellipse(rng)
    outer_corners, _ = outer_polygon
    hole_scale = rng.uniform(0.35, 0.7)
    hole_corners = outer_corners * hole_scale + rng.uniform(-0.1, 0.1, 2)
    return [outer_polygon, (hole_corners, 0)]


def _draw_crescent(rng: np.random.Generator) -> list[FilledPolygon]:
    """Draw a circle from which a shifted smaller circle is cut."""
    cut_corners = _circle_corners(rng.uniform(0.7, 0.95))
    cut_corners[:, 1] += rng.uniform(0.45, 0.7)
    return [(_circle_corners(1.0), 255), (cut_corners, 0)]


def _draw_ribbon(rng: np.random.Generator) -> list[FilledPolygon]:
    """Draw a bent band of changing width."""
    axis_position = np.linspace(-1.2, 1.2, _NUM_CURVE_POINTS // 2)
    # The center line is a sine wave.
    center_line = rng.uniform(0.1, 0.6) * np.sin(
        rng.uniform(1.0, 4.0) * axis_position + rng.uniform(0.0, 2 * np.pi)
    )
    half_width = rng.uniform(0.12, 0.35) * (
        1.0 + 0.5 * rng.uniform(-1, 1) * axis_position
    )
    upper_side = np.stack([center_line + half_width, axis_position], 1)
    lower_side = np.stack([center_line - half_width, axis_position], 1)
    # Along one side and back along the other.
    return [(np.concatenate([upper_side, lower_side[::-1]]), 255)]


def _draw_cross(rng: np.random.Generator) -> list[FilledPolygon]:
    """Draw two crossed bars.

    The twelve corners are the three of one arm, rotated by 0, 90, 180 and 270 degrees.
    """
    half_width = rng.uniform(0.2, 0.45)
    arm_corners = np.array(
        [[half_width, half_width], [1.0, half_width], [1.0, -half_width]]
    )
    quarter_turn = np.array([[0.0, -1.0], [1.0, 0.0]])
    rotated_arms = [
        arm_corners @ np.linalg.matrix_power(quarter_turn, k) for k in range(4)
    ]
    return [(np.concatenate(rotated_arms), 255)]


# Shapes that occur twice are drawn twice as often.
_SHAPE_FUNCTIONS: tuple[Callable[[np.random.Generator], list[FilledPolygon]], ...] = (
    _draw_ellipse,
    _draw_blob,
    _draw_blob,
    _draw_polygon,
    _draw_polygon,
    _draw_star,
    _draw_box,
    _draw_ring,
    _draw_crescent,
    _draw_ribbon,
    _draw_cross,
)
