"""Surfaces of drawn objects and backgrounds, RGB 0 to 1."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from jaxtyping import Float


def draw_texture(
    rng: np.random.Generator, *, size: int, palette: Float[np.ndarray, "n 3"]
) -> Float[np.ndarray, "h w 3"]:
    """Draws a pattern between two colours near those of the palette.

    Args:
        rng: source of chance.
        size: height and width in pixels.
        palette: [n 3] the scene's colours, 0 to 1; objects share them.

    Returns:
        [h w 3] float32.
    """
    first, second = palette[rng.integers(len(palette), size=2)]
    first = first + rng.normal(0.0, 0.06, 3)
    strength = rng.uniform(0.15, 1.0)  # faint to strong pattern
    second = first + strength * (second + rng.normal(0.0, 0.12, 3) - first)
    pattern = _PATTERNS[int(rng.integers(len(_PATTERNS)))](rng, size)
    colours = np.stack([first, second - first]).astype(np.float32)
    return np.clip(colours[0] + pattern[..., None] * colours[1], 0.0, 1.0)


def shade(
    rng: np.random.Generator, surface: Float[np.ndarray, "h w 3"]
) -> Float[np.ndarray, "h w 3"]:
    """Makes a surface brighter towards one side and adds soft stains and grain."""
    size = len(surface)
    light = rng.uniform(0.0, 0.6) * (_ramp(rng, size) - 0.5)
    light += rng.uniform(0.0, 0.3) * (smooth_noise(rng, size) - 0.5)
    light += rng.uniform(0.0, 0.05) * rng.standard_normal((size, size), np.float32)
    return np.clip(surface * (1.0 + light[..., None]), 0.0, 1.0)


def smooth_noise(rng: np.random.Generator, size: int) -> Float[np.ndarray, "h w"]:
    """Clouds: random grids of 3, 6, 12, ... cells, each half as strong; 0 to 1."""
    total = np.zeros((size, size), np.float32)
    for octave in range(int(rng.integers(1, 5))):
        cells = rng.random((3 * 2**octave + 1,) * 2, np.float32)
        cells = cv2.resize(cells, (size, size), interpolation=cv2.INTER_CUBIC)
        total += cells / 2**octave
    return cv2.normalize(total, None, 0.0, 1.0, cv2.NORM_MINMAX)


def _ramp(rng: np.random.Generator, size: int) -> Float[np.ndarray, "h w"]:
    """From 0 on one side of the picture to 1 on the other, in any direction."""
    angle = rng.uniform(0.0, 2 * np.pi)
    line = np.linspace(-0.5, 0.5, size, dtype=np.float32)
    slope = np.float32(np.sin(angle)) * line[:, None] + np.float32(np.cos(angle)) * line
    return np.clip(slope + 0.5, 0.0, 1.0)


def _waves(
    rng: np.random.Generator, size: int
) -> tuple[Float[np.ndarray, "h w"], Float[np.ndarray, "h w"]]:
    """Two waves at right angles, warped a little; -1 to 1."""
    angle, period = rng.uniform(0.0, np.pi), rng.uniform(0.03, 0.15) * size
    line = np.arange(size, dtype=np.float32) * np.float32(2 * np.pi / period)
    sine, cosine = np.float32(np.sin(angle)), np.float32(np.cos(angle))
    bend = np.float32(rng.uniform(0.0, 4.0)) * smooth_noise(rng, size)
    phase = np.float32(rng.uniform(0.0, 2 * np.pi))
    first = sine * line[:, None] + cosine * line + bend + phase
    second = cosine * line[:, None] - sine * line + bend
    return np.sin(first), np.sin(second)


def _sharpen(rng: np.random.Generator, wave: np.ndarray) -> Float[np.ndarray, "h w"]:
    """Waves -1..1 -> 0..1 with soft or hard borders."""
    hardness, middle = rng.uniform(1.0, 12.0), rng.uniform(-0.3, 0.3)
    return np.clip(np.float32(hardness) * (wave - np.float32(middle)) + 0.5, 0.0, 1.0)


def _plain(rng: np.random.Generator, size: int) -> Float[np.ndarray, "h w"]:
    return np.zeros((size, size), np.float32)


def _stripes(rng: np.random.Generator, size: int) -> Float[np.ndarray, "h w"]:
    return _sharpen(rng, _waves(rng, size)[0])


def _checks(rng: np.random.Generator, size: int) -> Float[np.ndarray, "h w"]:
    first, second = _waves(rng, size)
    return _sharpen(rng, 2.0 * first * second)


def _spots(rng: np.random.Generator, size: int) -> Float[np.ndarray, "h w"]:
    first, second = _waves(rng, size)
    return _sharpen(rng, first + second - np.float32(rng.uniform(0.0, 1.0)))


def _clouds(rng: np.random.Generator, size: int) -> Float[np.ndarray, "h w"]:
    return _sharpen(rng, 2.0 * smooth_noise(rng, size) - 1.0)


_PATTERNS: tuple[
    Callable[[np.random.Generator, int], Float[np.ndarray, "h w"]], ...
] = (_plain, _ramp, smooth_noise, _clouds, _stripes, _checks, _spots)
