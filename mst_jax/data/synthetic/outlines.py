"""Outlines of drawn objects: how much of each pixel they cover, 0 to 1."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from jaxtyping import Float

_FINER = 3  # outlines are drawn so much larger, then averaged: soft edges
_NUM_CORNERS = 96  # of a polygon that stands for a curve

Corners = Float[np.ndarray, "n 2"]


def draw_outline(
    rng: np.random.Generator,
    *,
    size: int,
    centre_yx: Float[np.ndarray, " 2"],
    radius: float,
) -> Float[np.ndarray, "h w"]:
    """Draws one object of a kind, width and direction of its own.

    Args:
        rng: source of chance.
        size: height and width of the picture in pixels.
        centre_yx: of the object, pixels.
        radius: about half the object's length, pixels.

    Returns:
        [h w] float32, the covered share of each pixel.
    """
    parts = _KINDS[int(rng.integers(len(_KINDS)))](rng)
    angle, flatness = rng.uniform(0.0, 2 * np.pi), rng.uniform(0.45, 1.0)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    grow = (turn * [1.0, flatness]) * radius * _FINER
    fine = np.zeros((size * _FINER, size * _FINER), np.uint8)
    for corners, value in parts:
        placed = corners @ grow.T + centre_yx * _FINER
        cv2.fillPoly(fine, [np.rint(placed[:, ::-1]).astype(np.int32)], value)
    cover = cv2.resize(fine, (size, size), interpolation=cv2.INTER_AREA)
    return cover.astype(np.float32) / 255.0


def _circle(radius: Float[np.ndarray, " n"] | float) -> Corners:
    angles = np.linspace(0.0, 2 * np.pi, _NUM_CORNERS, endpoint=False)
    return np.stack([np.sin(angles), np.cos(angles)], 1) * np.reshape(radius, (-1, 1))


def _ellipse(rng: np.random.Generator) -> list[tuple[Corners, int]]:
    return [(_circle(1.0), 255)]


def _blob(rng: np.random.Generator) -> list[tuple[Corners, int]]:
    """A circle whose radius swings a few times a turn."""
    angles = np.linspace(0.0, 2 * np.pi, _NUM_CORNERS, endpoint=False)
    radius = np.ones(_NUM_CORNERS)
    for swings in range(2, 7):
        radius += rng.normal(0.0, 0.32 / swings) * np.cos(
            swings * angles + rng.uniform(0.0, 2 * np.pi)
        )
    return [(_circle(np.clip(radius, 0.25, 1.5)), 255)]


def _polygon(rng: np.random.Generator) -> list[tuple[Corners, int]]:
    """Three to nine corners at uneven angles and distances."""
    number = int(rng.integers(3, 10))
    angles = 2 * np.pi * (np.arange(number) + rng.uniform(-0.3, 0.3, number)) / number
    radius = rng.uniform(0.55, 1.1, number)
    return [(np.stack([np.sin(angles), np.cos(angles)], 1) * radius[:, None], 255)]


def _star(rng: np.random.Generator) -> list[tuple[Corners, int]]:
    number = int(rng.integers(4, 9))
    angles = np.pi * np.arange(2 * number) / number
    radius = np.tile([1.1, rng.uniform(0.35, 0.7)], number)
    return [(np.stack([np.sin(angles), np.cos(angles)], 1) * radius[:, None], 255)]


def _box(rng: np.random.Generator) -> list[tuple[Corners, int]]:
    """A rectangle with corners between sharp and round."""
    angles = np.linspace(0.0, 2 * np.pi, _NUM_CORNERS, endpoint=False)
    power = 2.0 / rng.uniform(3.0, 20.0)
    sides = np.stack([np.sin(angles), np.cos(angles)], 1)
    return [(np.sign(sides) * np.abs(sides) ** power * 0.85, 255)]


def _ring(rng: np.random.Generator) -> list[tuple[Corners, int]]:
    (outer, value), *_ = _blob(rng) if rng.random() < 0.5 else _ellipse(rng)
    hole = outer * rng.uniform(0.35, 0.7) + rng.uniform(-0.1, 0.1, 2)
    return [(outer, value), (hole, 0)]


def _crescent(rng: np.random.Generator) -> list[tuple[Corners, int]]:
    bite = _circle(rng.uniform(0.7, 0.95))
    bite[:, 1] += rng.uniform(0.45, 0.7)
    return [(_circle(1.0), 255), (bite, 0)]


def _ribbon(rng: np.random.Generator) -> list[tuple[Corners, int]]:
    """A bent band: a curve with two sides."""
    along = np.linspace(-1.2, 1.2, _NUM_CORNERS // 2)
    bend = rng.uniform(0.1, 0.6) * np.sin(
        rng.uniform(1.0, 4.0) * along + rng.uniform(0.0, 2 * np.pi)
    )
    width = rng.uniform(0.12, 0.35) * (1.0 + 0.5 * rng.uniform(-1, 1) * along)
    upper = np.stack([bend + width, along], 1)
    lower = np.stack([bend - width, along], 1)
    return [(np.concatenate([upper, lower[::-1]]), 255)]


def _cross(rng: np.random.Generator) -> list[tuple[Corners, int]]:
    """Two bars; the twelve corners are one arm's three, turned four times."""
    thin = rng.uniform(0.2, 0.45)
    arm = np.array([[thin, thin], [1.0, thin], [1.0, -thin]])
    quarter = np.array([[0.0, -1.0], [1.0, 0.0]])
    turned = [arm @ np.linalg.matrix_power(quarter, k) for k in range(4)]
    return [(np.concatenate(turned), 255)]


_KINDS: tuple[Callable[[np.random.Generator], list[tuple[Corners, int]]], ...] = (
    _ellipse,
    _blob,
    _blob,
    _polygon,
    _polygon,
    _star,
    _box,
    _ring,
    _crescent,
    _ribbon,
    _cross,
)
