import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mst_jax.data.synthetic import outlines


def draw(kind, monkeypatch, radius=20.0, size=64, seed=0):
    monkeypatch.setattr(outlines, "_KINDS", (kind,))
    rng = np.random.default_rng(seed)
    centre = np.array([size / 2, size / 2])
    return outlines.draw_outline(rng, size=size, centre_yx=centre, radius=radius)


def test_an_ellipse_covers_the_area_of_an_ellipse(monkeypatch):
    rng = np.random.default_rng(0)
    rng.integers(1), rng.uniform(0, 1)
    flatness = rng.uniform(0.45, 1.0)
    cover = draw(outlines._ellipse, monkeypatch)
    assert abs(cover.sum() / (np.pi * 20**2 * flatness) - 1.0) < 0.05
    assert cover[32, 32] == 1.0 and cover[0, 0] == 0.0


def test_a_ring_has_a_hole(monkeypatch):
    cover = draw(outlines._ring, monkeypatch)
    assert cover[32, 32] == 0.0 and cover.max() == 1.0


def test_borders_are_soft(monkeypatch):
    cover = draw(outlines._polygon, monkeypatch)
    assert ((cover > 0.0) & (cover < 1.0)).sum() > 20


@pytest.mark.parametrize("kind", sorted(set(outlines._KINDS), key=lambda k: k.__name__))
def test_every_kind_has_about_the_size_asked_for(kind, monkeypatch):
    for seed in range(5):
        rows, columns = np.nonzero(draw(kind, monkeypatch, seed=seed) > 0.5)
        length = max(np.ptp(rows), np.ptp(columns))
        assert 14 <= length <= 64


@given(seed=st.integers(0, 2**32 - 1), radius=st.floats(1.0, 40.0))
def test_cover_is_a_share(seed, radius):
    rng = np.random.default_rng(seed)
    centre = rng.uniform(-5, 45, 2)
    cover = outlines.draw_outline(rng, size=40, centre_yx=centre, radius=radius)
    assert cover.shape == (40, 40) and cover.dtype == np.float32
    assert cover.min() >= 0.0 and cover.max() <= 1.0
