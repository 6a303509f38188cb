import dataclasses

import jax
import numpy as np
import pytest

from mst_jax.evaluation.protocol import (
    EvaluationProtocol,
    UserOptions,
    published_protocol,
    run_sessions,
    session_seed,
)
from mst_jax.interaction.inference_options import ZoomOptions
from mst_jax.interaction.refine import RefinementOptions
from tests.helpers.analytic_network import analytic_model, draw_targets

NOISY = EvaluationProtocol(
    max_clicks=3,
    zoom=ZoomOptions(size=48, min_side=16),
    user=UserOptions(click_spread=0.6),
)
REFINED = dataclasses.replace(
    NOISY,
    zoom=dataclasses.replace(NOISY.zoom, drop_outside=True),
    refinement=RefinementOptions(num_steps=2, convergence_pixels=60),
)
run = jax.jit(run_sessions, static_argnames=("model", "protocol"))


@pytest.fixture(scope="module")
def examples():
    return [target[1:] for target in draw_targets([(40, 52), (61, 33)])]


def run_batch(examples, seeds, height, width, protocol=NOISY):
    """Runs some images as one batch of height x width; noise fills the padding."""
    rng = np.random.default_rng(0)
    num_examples = len(examples)
    image = rng.integers(0, 256, (num_examples, height, width, 3)).astype(np.uint8)
    target, valid = np.zeros((2, num_examples, height, width), bool)
    size = np.array([example[1].shape for example in examples])
    for i, (h, w) in enumerate(size):
        image[i, :h, :w], target[i, :h, :w], valid[i, :h, :w] = examples[i]
    seeds = np.array(seeds, np.int32)
    return run(
        analytic_model, image, size, target, valid, seeds, 0.999, protocol=protocol
    )


def assert_same_session(first, second, i=0, j=0):
    """Checks that example i of one batch and j of another had the same session."""
    np.testing.assert_array_equal(first.clicks.yx[i], second.clicks.yx[j])
    np.testing.assert_array_equal(first.clicks.label[i], second.clicks.label[j])
    np.testing.assert_array_equal(first.rois[i], second.rois[j])
    np.testing.assert_allclose(first.ious[i], second.ious[j], atol=1e-5)
    h, w = np.minimum(first.prob.shape[1:], second.prob.shape[1:])
    np.testing.assert_allclose(first.prob[i, :h, :w], second.prob[j, :h, :w], atol=1e-5)


@pytest.mark.parametrize(
    "protocol",
    [
        pytest.param(NOISY, id="plain"),
        pytest.param(REFINED, id="refined", marks=pytest.mark.slow),
    ],
)
def test_neither_padding_nor_batch_changes_a_session(examples, protocol):
    """Nor the random clicks of the users."""
    batch = run_batch(examples, [5, 6], 64, 64, protocol)
    assert (batch.ious[:, -1] > 0).all()
    unpadded = run_batch(examples[:1], [5], 40, 52, protocol)
    assert_same_session(unpadded, batch, 0, 0)
    if protocol == NOISY:
        # Nor does the user of another example.
        other = run_batch(examples, [7, 6], 64, 64, protocol)
        assert_same_session(other, batch, 1, 1)


def test_another_seed_gives_other_clicks(examples):
    first, second = (run_batch(examples, seeds, 64, 64) for seeds in ([5, 6], [7, 6]))
    assert not np.array_equal(first.clicks.yx[0], second.clicks.yx[0])
    assert_same_session(first, second, 1, 1)


def test_each_session_has_its_own_seed():
    assert session_seed(0, "a") != session_seed(0, "b") != session_seed(1, "b")
    assert session_seed(0, "a") == session_seed(0, "a") < 2**31


def test_published_protocols():
    literature = ZoomOptions(size=448, min_side=200, flip_tta=True, drop_outside=False)
    assert published_protocol("literature", "grabcut").zoom == literature
    assert published_protocol("literature", "grabcut") == EvaluationProtocol()
    assert published_protocol("literature", "davis").zoom.size == 672
    released = published_protocol("mst", "berkeley").zoom
    assert (released.min_side, released.drop_outside) == (20, True)


@pytest.mark.parametrize(
    ("make_options", "message"),
    [
        (lambda: EvaluationProtocol(max_clicks=0), "max_clicks is 0, expected 1 or"),
        (lambda: ZoomOptions(min_side=0), "min_side is 0"),
        (lambda: UserOptions(-0.1), "click_spread is -0.1, expected 0 or more"),
        (lambda: UserOptions(float("nan")), "click_spread is nan"),
        (
            lambda: UserOptions(first_click="last"),
            "first_click is 'last', expected 'center' or 'random'",
        ),
    ],
)
def test_an_option_out_of_range_is_named(make_options, message):
    with pytest.raises(ValueError, match=message):
        make_options()
