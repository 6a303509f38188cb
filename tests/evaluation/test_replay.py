import numpy as np
import pytest

from mst_jax.clicks.next_click import MASK_THRESHOLD
from mst_jax.evaluation import EvaluationProtocol, simulate
from mst_jax.evaluation.replay import replay_session
from mst_jax.interaction.inference_options import ZoomOptions
from tests.helpers.analytic_network import analytic_model, draw_targets

PROTOCOL = EvaluationProtocol(max_clicks=5, zoom=ZoomOptions(size=48, min_side=16))


@pytest.fixture(scope="module")
def target():
    return draw_targets([(40, 52)])[0]


def test_masks_equal_those_of_the_session(target):
    session = simulate(analytic_model, *target[1:], protocol=PROTOCOL)
    click_counts = (2, 5, 9)
    masks = replay_session(
        analytic_model, target, session.clicks, click_counts, protocol=PROTOCOL
    )
    assert list(masks) == [2, 5]
    np.testing.assert_array_equal(masks[5], session.prob > MASK_THRESHOLD)
    num_shared = (masks[2] & target.target & target.valid).sum()
    num_union = ((masks[2] | target.target) & target.valid).sum()
    iou = float(session.ious[1])
    assert num_shared / num_union == pytest.approx(iou, abs=1e-6)
