import jax
import numpy as np
import pytest

from mst_jax.evaluation.protocol import Protocol, play, published_view, session_seed
from tests.helpers.analytic_network import bumps, draw_targets

CARELESS = dict(max_clicks=3, zoom=48, zoom_min_side=16, spread=0.6)
run = jax.jit(play, static_argnames=("model", "protocol"))


@pytest.fixture(scope="module")
def scenes():
    return [scene[1:] for scene in draw_targets([(40, 52), (61, 33)])]


def played(scenes, seeds, height, width, **settings):
    """Plays some pictures as one batch of height x width; noise fills the padding."""
    rng = np.random.default_rng(0)
    num = len(scenes)
    image = rng.integers(0, 256, (num, height, width, 3)).astype(np.uint8)
    target, valid = np.zeros((2, num, height, width), bool)
    size = np.array([x[1].shape for x in scenes])
    for i, (h, w) in enumerate(size):
        image[i, :h, :w], target[i, :h, :w], valid[i, :h, :w] = scenes[i]
    protocol = Protocol(**settings)
    seeds = np.array(seeds, np.int32)
    return run(bumps, image, size, target, valid, seeds, 0.999, protocol=protocol)


def same_session(one, other, i=0, j=0):
    """Whether example i of one batch and j of another had the same session."""
    np.testing.assert_array_equal(one.clicks.yx[i], other.clicks.yx[j])
    np.testing.assert_array_equal(one.clicks.label[i], other.clicks.label[j])
    np.testing.assert_array_equal(one.regions[i], other.regions[j])
    np.testing.assert_allclose(one.ious[i], other.ious[j], atol=1e-5)
    h, w = np.minimum(one.prob.shape[1:], other.prob.shape[1:])
    np.testing.assert_allclose(one.prob[i, :h, :w], other.prob[j, :h, :w], atol=1e-5)


@pytest.mark.parametrize(
    "more",
    [
        pytest.param({}, id="plain"),
        pytest.param(
            {"more_looks": 2, "least_change": 60, "drop_outside": True},
            id="refined",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_neither_padding_nor_company_changes_a_session(scenes, more):
    """Nor the chance of users who draw their clicks."""
    settings = CARELESS | more
    together = played(scenes, [5, 6], 64, 64, **settings)
    assert (together.ious[:, -1] > 0).all()
    same_session(played(scenes[:1], [5], 40, 52, **settings), together, 0, 0)
    if not more:
        same_session(played(scenes, [7, 6], 96, 80, **settings), together, 1, 1)


def test_other_seeds_are_other_users(scenes):
    one, other = (
        played(scenes, seeds, 64, 64, **CARELESS) for seeds in ([5, 6], [7, 6])
    )
    assert not np.array_equal(one.clicks.yx[0], other.clicks.yx[0])
    same_session(one, other, 1, 1)


def test_a_session_has_its_own_seed():
    assert session_seed(0, "a") != session_seed(0, "b") != session_seed(1, "b")
    assert session_seed(0, "a") == session_seed(0, "a") < 2**31


def test_published_views():
    assert published_view("literature", "grabcut") == {
        "zoom": 448,
        "zoom_min_side": 200,
        "mirror": True,
        "drop_outside": False,
    }
    assert published_view("literature", "davis")["zoom"] == 672
    released = published_view("mst", "berkeley")
    assert (released["zoom_min_side"], released["drop_outside"]) == (20, True)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_clicks": 0}, "max_clicks is 0, expected 1 or more"),
        ({"zoom_min_side": 0}, "zoom_min_side is 0"),
        ({"spread": -0.1}, "spread is -0.1, expected 0 or more"),
        ({"spread": float("nan")}, "spread is nan"),
        ({"first": "last"}, "first is 'last', expected 'best' or 'anywhere'"),
    ],
)
def test_a_setting_out_of_range_is_named(settings, message):
    with pytest.raises(ValueError, match=message):
        Protocol(**settings)
