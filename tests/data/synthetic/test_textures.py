import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mst_jax.data.synthetic import textures

PALETTE = np.array([[0.5, 0.2, 0.1], [0.1, 0.2, 0.9]])
seed_strategy = st.integers(0, 2**32 - 1)


@given(seed=seed_strategy)
def test_surfaces_are_between_0_and_1(seed):
    rng = np.random.default_rng(seed)
    surface = textures.draw_texture(rng, size=32, palette=PALETTE)
    surface = textures.add_shading(rng, surface)
    assert surface.shape == (32, 32, 3) and surface.dtype == np.float32
    assert np.isfinite(surface).all()
    assert surface.min() >= 0.0 and surface.max() <= 1.0


@given(seed=seed_strategy)
def test_patterns_are_between_0_and_1(seed):
    for draw_pattern in textures._PATTERN_FUNCTIONS:
        pattern_values = draw_pattern(np.random.default_rng(seed), 32)
        assert pattern_values.shape == (32, 32)
        assert pattern_values.min() >= -1e-5 and pattern_values.max() <= 1.0 + 1e-5


def test_a_ramp_rises_linearly_in_its_direction():
    angle = np.random.default_rng(3).uniform(0.0, 2 * np.pi)
    ramp = textures._draw_ramp(np.random.default_rng(3), 5)
    row, column = np.mgrid[-2:3, -2:3] / 4
    expected = 0.5 + np.sin(angle) * row + np.cos(angle) * column
    np.testing.assert_allclose(ramp, np.clip(expected, 0, 1), atol=1e-6)
