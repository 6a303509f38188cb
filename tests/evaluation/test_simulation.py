import dataclasses
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mst_jax.evaluation import simulate
from tests.helpers.analytic_network import bumps, draw_targets

GOLDEN = Path(__file__).parents[1] / "golden" / "protocol.npz"
SETTINGS = {
    "zoom_flip": dict(zoom=448, mirror=True, stop_iou=0.95),
    "zoom": dict(zoom=224, mirror=False, stop_iou=0.90),
    "plain": dict(zoom=None, mirror=False),
}


@pytest.fixture(scope="module")
def golden():
    with np.load(GOLDEN) as arrays:
        return dict(arrays)


@pytest.mark.parametrize(
    "case, name",
    [
        ("case4", "zoom_flip"),
        ("case4", "zoom"),
        ("case4", "plain"),
        ("case2", "zoom"),
        ("case2", "plain"),
        pytest.param("case2", "zoom_flip", marks=pytest.mark.slow),
    ],
)
def test_sessions_equal_the_published_ones(golden, case, name):
    image, labels = golden[f"{case}/image"], golden[f"{case}/gt"]
    session = simulate(bumps, image, labels == 1, labels != -1, **SETTINGS[name])
    np.testing.assert_array_equal(session.clicks, golden[f"{case}/{name}/clicks"])
    np.testing.assert_allclose(session.ious, golden[f"{case}/{name}/ious"], atol=1e-3)
    # A half found in float64 may be rounded to the other side: one pixel.
    np.testing.assert_allclose(session.rois, golden[f"{case}/{name}/rois"], atol=1)
    assert session.prob.shape == labels.shape and session.prob.dtype == np.float32


QUICK = dict(max_clicks=5, zoom=48, zoom_min_side=16, mirror=True)


@pytest.fixture(scope="module")
def scenes():
    """Two pictures of different size with one object each and some ignored pixels."""
    return [scene[1:] for scene in draw_targets([(40, 52), (61, 33)])]


def test_a_session_ends_with_the_wanted_overlap(scenes):
    full = simulate(bumps, *scenes[0], **QUICK)
    assert len(full.ious) == 5 and full.clicks.shape == (5, 3)
    wanted = float(full.ious[1:3].max())
    num = int(np.argmax(full.ious >= wanted)) + 1
    short = simulate(bumps, *scenes[0], stop_iou=wanted, **QUICK)
    np.testing.assert_array_equal(short.ious, full.ious[:num])
    np.testing.assert_array_equal(short.clicks, full.clicks[:num])


@partial(
    jax.tree_util.register_dataclass, data_fields=["scale"], meta_fields=["traced"]
)
@dataclasses.dataclass(frozen=True)
class Scaled:
    """A model with one parameter that counts how often it is traced."""

    scale: jax.Array
    traced: tuple

    def __call__(self, image, clicks, previous):
        self.traced[0].append(1)
        return self.scale * bumps(image, clicks, previous)


class Calls(list):
    """A list that may stand in the fixed part of a tree."""

    def __hash__(self):
        return id(self)

    def __eq__(self, other):
        return self is other


def test_other_parameters_and_pictures_of_like_size_compile_nothing(scenes):
    calls = (Calls(),)
    first = simulate(Scaled(jnp.float32(1), calls), *scenes[0], **QUICK)
    num = len(calls[0])
    assert num > 0
    second = simulate(Scaled(jnp.float32(0.1), calls), *scenes[1], **QUICK)
    again = simulate(Scaled(jnp.float32(1), calls), *scenes[0], stop_iou=0.9, **QUICK)
    assert len(calls[0]) == num
    assert second.prob.shape == scenes[1][1].shape
    np.testing.assert_array_equal(again.clicks, first.clicks[: len(again.clicks)])


def test_missing_valid_means_that_all_pixels_count(scenes):
    image, target, valid = scenes[0]
    without = simulate(bumps, image, target, **QUICK)
    given = simulate(bumps, image, target, np.ones_like(valid), **QUICK)
    np.testing.assert_array_equal(without.ious, given.ious)


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda i, t, v: (i / 255, t, v), "expected uint8"),
        (lambda i, t, v: (i[..., 0], t, v), "expected uint8"),
        (lambda i, t, v: (i, t[:-1], v), "target is .* expected .* like the image"),
        (lambda i, t, v: (i, t, v[:, :-1]), "valid is .* expected .* like the image"),
        (lambda i, t, v: (i, t & False, v), "target has no valid pixel"),
        (lambda i, t, v: (i, t, ~t), "target has no valid pixel"),
    ],
)
def test_what_cannot_be_evaluated_is_named(scenes, change, message):
    with pytest.raises(ValueError, match=message):
        simulate(bumps, *change(*scenes[0]), **QUICK)
