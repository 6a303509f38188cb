"""Textures of synthetic objects and backgrounds, RGB 0 to 1."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from jaxtyping import Float


def draw_texture(
    rng: np.random.Generator, *, size: int, palette: Float[np.ndarray, "n 3"]
) -> Float[np.ndarray, "h w 3"]:
    """Draw a pattern between two colors near those of the palette.

    Args:
        rng: Random number generator.
        size: Height and width in pixels.
        palette: [n 3] colors of the scene, 0 to 1; objects share them.

    Returns:
        [h w 3] float32 RGB, 0 to 1.
    """
    # 1. Two colors of the palette, with noise; they may be the same.
    first_color, second_color = palette[rng.integers(len(palette), size=2)]
    first_color = first_color + rng.normal(0.0, 0.06, 3)
    pattern_strength = rng.uniform(0.15, 1.0)  # faint to strong pattern
    second_color = first_color + pattern_strength * (
        second_color + rng.normal(0.0, 0.12, 3) - first_color
    )
    # 2. The pattern interpolates between them.
    draw_pattern = _PATTERN_FUNCTIONS[int(rng.integers(len(_PATTERN_FUNCTIONS)))]
    pattern_values = draw_pattern(rng, size)
    base_and_change = np.stack([first_color, second_color - first_color])
    base_color, color_change = base_and_change.astype(np.float32)
    return np.clip(base_color + pattern_values[..., None] * color_change, 0.0, 1.0)


def add_shading(
    rng: np.random.Generator, surface: Float[np.ndarray, "h w 3"]
) -> Float[np.ndarray, "h w 3"]:
    """Add a brightness gradient, soft stains and grain to a surface.

    Args:
        rng: Random number generator.
        surface: [h w 3] RGB, 0 to 1.

    Returns:
        [h w 3] RGB, 0 to 1.
    """
    size = len(surface)
    brightness_change = rng.uniform(0.0, 0.6) * (_draw_ramp(rng, size) - 0.5)
    brightness_change += rng.uniform(0.0, 0.3) * (draw_smooth_noise(rng, size) - 0.5)
    grain_noise = rng.uniform(0.0, 0.05) * rng.standard_normal((size, size), np.float32)
    brightness_change += grain_noise
    return np.clip(surface * (1.0 + brightness_change[..., None]), 0.0, 1.0)


def draw_smooth_noise(rng: np.random.Generator, size: int) -> Float[np.ndarray, "h w"]:
    """Draw cloudy noise from 1 to 4 octaves.

    Octave i is a random grid of 3 * 2**i + 1 values per side, enlarged, with weight
    1 / 2**i.

    Args:
        rng: Random number generator.
        size: Height and width in pixels.

    Returns:
        [h w] float32, 0 to 1.
    """
    noise_sum = np.zeros((size, size), np.float32)
    for octave_index in range(int(rng.integers(1, 5))):
        noise_grid = rng.random((3 * 2**octave_index + 1,) * 2, np.float32)
        # Cubic interpolation leaves no visible grid lines.
        octave_noise = cv2.resize(
            noise_grid, (size, size), interpolation=cv2.INTER_CUBIC
        )
        noise_sum += octave_noise / 2**octave_index
    normalized_noise = np.empty_like(noise_sum)
    return cv2.normalize(noise_sum, normalized_noise, 0.0, 1.0, cv2.NORM_MINMAX)


def _draw_ramp(rng: np.random.Generator, size: int) -> Float[np.ndarray, "h w"]:
    """Draw a ramp from 0 on one side of the image to 1 on the other, at any angle."""
    angle = rng.uniform(0.0, 2 * np.pi)
    sine, cosine = np.float32(np.sin(angle)), np.float32(np.cos(angle))
    pixel_coordinate = np.linspace(-0.5, 0.5, size, dtype=np.float32)
    ramp_values = sine * pixel_coordinate[:, None] + cosine * pixel_coordinate
    return np.clip(ramp_values + 0.5, 0.0, 1.0)


def _draw_waves(
    rng: np.random.Generator, size: int
) -> tuple[Float[np.ndarray, "h w"], Float[np.ndarray, "h w"]]:
    """Draw two waves at right angles, slightly warped, -1 to 1."""
    angle, wave_period = rng.uniform(0.0, np.pi), rng.uniform(0.03, 0.15) * size
    phase_ramp = np.arange(size, dtype=np.float32) * np.float32(2 * np.pi / wave_period)
    sine, cosine = np.float32(np.sin(angle)), np.float32(np.cos(angle))
    # The same smooth noise bends both waves.
    phase_warp = np.float32(rng.uniform(0.0, 4.0)) * draw_smooth_noise(rng, size)
    phase_shift = np.float32(rng.uniform(0.0, 2 * np.pi))
    first_phase = (
        sine * phase_ramp[:, None] + cosine * phase_ramp + phase_warp + phase_shift
    )
    second_phase = cosine * phase_ramp[:, None] - sine * phase_ramp + phase_warp
    return np.sin(first_phase), np.sin(second_phase)


def _sharpen_wave(
    rng: np.random.Generator, wave_values: np.ndarray
) -> Float[np.ndarray, "h w"]:
    """Map a wave of about -1 to 1 to 0 to 1, with soft or hard edges."""
    edge_steepness, edge_threshold = rng.uniform(1.0, 12.0), rng.uniform(-0.3, 0.3)
    scaled_wave = (
        np.float32(edge_steepness) * (wave_values - np.float32(edge_threshold)) + 0.5
    )
    return np.clip(scaled_wave, 0.0, 1.0)


def _draw_plain(rng: np.random.Generator, size: int) -> Float[np.ndarray, "h w"]:
    return np.zeros((size, size), np.float32)


def _draw_stripes(rng: np.random.Generator, size: int) -> Float[np.ndarray, "h w"]:
    return _sharpen_wave(rng, _draw_waves(rng, size)[0])


def _draw_checks(rng: np.random.Generator, size: int) -> Float[np.ndarray, "h w"]:
    # The product changes sign at the edges of a checkerboard.
    first_wave, second_wave = _draw_waves(rng, size)
    return _sharpen_wave(rng, 2.0 * first_wave * second_wave)


def _draw_spots(rng: np.random.Generator, size: int) -> Float[np.ndarray, "h w"]:
    # The sum is high where both waves are: a grid of round spots.
    first_wave, second_wave = _draw_waves(rng, size)
    edge_threshold = np.float32(rng.uniform(0.0, 1.0))
    return _sharpen_wave(rng, first_wave + second_wave - edge_threshold)


def _draw_clouds(rng: np.random.Generator, size: int) -> Float[np.ndarray, "h w"]:
    return _sharpen_wave(rng, 2.0 * draw_smooth_noise(rng, size) - 1.0)


# All patterns are drawn equally often.
_PATTERN_FUNCTIONS: tuple[
    Callable[[np.random.Generator, int], Float[np.ndarray, "h w"]], ...
] = (
    _draw_plain,
    _draw_ramp,
    draw_smooth_noise,
    _draw_clouds,
    _draw_stripes,
    _draw_checks,
    _draw_spots,
)
