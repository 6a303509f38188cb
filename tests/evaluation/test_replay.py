import numpy as np
import pytest

from mst_jax.clicks.next_click import THRESHOLD
from mst_jax.evaluation import simulate
from mst_jax.evaluation.replay import replay
from tests.helpers.analytic_network import bumps, draw_targets

SETTINGS = dict(max_clicks=5, zoom=48, zoom_min_side=16)


@pytest.fixture(scope="module")
def target():
    return draw_targets([(40, 52)])[0]


def test_masks_are_those_of_the_session(target):
    session = simulate(bumps, *target[1:], **SETTINGS)
    masks = replay(bumps, target, session.clicks, (2, 5, 9), **SETTINGS)
    assert list(masks) == [2, 5]
    np.testing.assert_array_equal(masks[5], session.prob > THRESHOLD)
    inside = (masks[2] & target.target & target.valid).sum()
    either = ((masks[2] | target.target) & target.valid).sum()
    assert inside / either == pytest.approx(float(session.ious[1]), abs=1e-6)
