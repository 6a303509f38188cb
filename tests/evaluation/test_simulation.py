import dataclasses
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mst_jax.evaluation import EvaluationProtocol, simulate
from mst_jax.interaction.inference_options import ZoomOptions
from tests.helpers.analytic_network import analytic_model, draw_targets

GOLDEN = Path(__file__).parents[1] / "golden" / "protocol.npz"
# Zoom options and stop_iou of the published sessions.
GOLDEN_OPTIONS = {
    "zoom_flip": (ZoomOptions(size=448), 0.95),
    "zoom": (ZoomOptions(size=224, flip_tta=False), 0.90),
    "plain": (ZoomOptions(size=None, flip_tta=False), 1.01),
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
    zoom, stop_iou = GOLDEN_OPTIONS[name]
    session = simulate(
        analytic_model,
        image,
        labels == 1,
        labels != -1,
        stop_iou=stop_iou,
        protocol=EvaluationProtocol(zoom=zoom),
    )
    np.testing.assert_array_equal(session.clicks, golden[f"{case}/{name}/clicks"])
    np.testing.assert_allclose(session.ious, golden[f"{case}/{name}/ious"], atol=1e-3)
    # Rounding of halves in float32 and float64 may differ by one pixel.
    np.testing.assert_allclose(session.rois, golden[f"{case}/{name}/rois"], atol=1)
    assert session.prob.shape == labels.shape and session.prob.dtype == np.float32


QUICK = EvaluationProtocol(max_clicks=5, zoom=ZoomOptions(size=48, min_side=16))


@pytest.fixture(scope="module")
def examples():
    """Two images of different size with one object each and some ignored pixels."""
    return [target[1:] for target in draw_targets([(40, 52), (61, 33)])]


def test_a_session_ends_at_the_stop_iou(examples):
    full = simulate(analytic_model, *examples[0], protocol=QUICK)
    assert len(full.ious) == 5 and full.clicks.shape == (5, 3)
    stop_iou = float(full.ious[1:3].max())
    num_clicks = int(np.argmax(full.ious >= stop_iou)) + 1
    short = simulate(analytic_model, *examples[0], stop_iou=stop_iou, protocol=QUICK)
    np.testing.assert_array_equal(short.ious, full.ious[:num_clicks])
    np.testing.assert_array_equal(short.clicks, full.clicks[:num_clicks])


@partial(
    jax.tree_util.register_dataclass, data_fields=["scale"], meta_fields=["trace_calls"]
)
@dataclasses.dataclass(frozen=True)
class ScaledModel:
    """A model with one parameter that counts how often it is traced."""

    scale: jax.Array
    trace_calls: tuple

    def __call__(self, image, clicks, prev_mask):
        self.trace_calls[0].append(1)
        return self.scale * analytic_model(image, clicks, prev_mask)


class HashableList(list):
    """A list that can be static metadata of a pytree."""

    def __hash__(self):
        return id(self)

    def __eq__(self, other):
        return self is other


def test_other_parameters_and_images_of_similar_size_are_not_compiled_again(examples):
    calls = (HashableList(),)
    first = simulate(ScaledModel(jnp.float32(1), calls), *examples[0], protocol=QUICK)
    num_traces = len(calls[0])
    assert num_traces > 0
    second = simulate(
        ScaledModel(jnp.float32(0.1), calls), *examples[1], protocol=QUICK
    )
    again = simulate(
        ScaledModel(jnp.float32(1), calls), *examples[0], stop_iou=0.9, protocol=QUICK
    )
    assert len(calls[0]) == num_traces
    assert second.prob.shape == examples[1][1].shape
    np.testing.assert_array_equal(again.clicks, first.clicks[: len(again.clicks)])


def test_without_valid_all_pixels_count(examples):
    image, target, valid = examples[0]
    without = simulate(analytic_model, image, target, protocol=QUICK)
    given = simulate(analytic_model, image, target, np.ones_like(valid), protocol=QUICK)
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
def test_invalid_input_is_named(examples, change, message):
    with pytest.raises(ValueError, match=message):
        simulate(analytic_model, *change(*examples[0]), protocol=QUICK)
