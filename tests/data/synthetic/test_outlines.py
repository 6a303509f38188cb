import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mst_jax.data.synthetic import outlines


def draw_shape(shape_function, monkeypatch, radius=20.0, size=64, seed=0):
    monkeypatch.setattr(outlines, "_SHAPE_FUNCTIONS", (shape_function,))
    rng = np.random.default_rng(seed)
    center_yx = np.array([size / 2, size / 2])
    return outlines.draw_outline(rng, size=size, center_yx=center_yx, radius=radius)


def test_an_ellipse_has_the_area_of_an_ellipse(monkeypatch):
    rng = np.random.default_rng(0)
    rng.integers(1), rng.uniform(0, 1)
    aspect_ratio = rng.uniform(0.45, 1.0)
    coverage = draw_shape(outlines._draw_ellipse, monkeypatch)
    assert abs(coverage.sum() / (np.pi * 20**2 * aspect_ratio) - 1.0) < 0.05
    assert coverage[32, 32] == 1.0 and coverage[0, 0] == 0.0


def test_a_ring_has_a_hole(monkeypatch):
    coverage = draw_shape(outlines._draw_ring, monkeypatch)
    assert coverage[32, 32] == 0.0 and coverage.max() == 1.0


def test_edges_are_antialiased(monkeypatch):
    coverage = draw_shape(outlines._draw_polygon, monkeypatch)
    assert ((coverage > 0.0) & (coverage < 1.0)).sum() > 20


@pytest.mark.parametrize(
    "shape_function", sorted(set(outlines._SHAPE_FUNCTIONS), key=lambda k: k.__name__)
)
def test_every_shape_has_about_the_requested_size(shape_function, monkeypatch):
    for seed in range(5):
        rows, columns = np.nonzero(
            draw_shape(shape_function, monkeypatch, seed=seed) > 0.5
        )
        length = max(np.ptp(rows), np.ptp(columns))
        assert 14 <= length <= 64


@given(seed=st.integers(0, 2**32 - 1), radius=st.floats(1.0, 40.0))
def test_coverage_is_between_0_and_1(seed, radius):
    rng = np.random.default_rng(seed)
    center_yx = rng.uniform(-5, 45, 2)
    coverage = outlines.draw_outline(rng, size=40, center_yx=center_yx, radius=radius)
    assert coverage.shape == (40, 40) and coverage.dtype == np.float32
    assert coverage.min() >= 0.0 and coverage.max() <= 1.0
