import jax
import numpy as np
from jax.sharding import Mesh

from mst_jax.evaluation.protocol import Protocol
from mst_jax.evaluation.slots import advance, no_work, start_lane
from tests.helpers.analytic_network import bumps, draw_targets

PROTOCOL = Protocol(max_clicks=4, zoom=32, zoom_min_side=16)
MESH = Mesh(np.array(jax.devices()[:1]), ("lane",))
SIZE = (64, 64)
kwargs = {"protocol": PROTOCOL, "mesh": MESH}
start = jax.jit(lambda *given: start_lane(*given, **kwargs))
go_on = jax.jit(
    lambda lanes, busy, stop: advance(
        jax.tree_util.Partial(bumps), lanes, busy, stop, **kwargs
    )
)


def started(lanes, lane, target):
    height, width = target.target.shape
    fill = [(0, SIZE[0] - height), (0, SIZE[1] - width)]
    masks = [np.pad(mask, fill) for mask in (target.target, target.valid)]
    image = np.pad(target.image, [*fill, (0, 0)])
    return start(lanes, lane, image, np.array([height, width]), *masks, 0)


def test_lanes_are_begun_played_and_refilled_one_by_one():
    first, second = draw_targets([(40, 52), (61, 33)])
    lanes = started(no_work(2, SIZE, PROTOCOL), 1, first)
    np.testing.assert_array_equal(lanes.said.clicks.num_clicks, [0, 1])
    np.testing.assert_array_equal(lanes.size, [[1, 1], [40, 52]])
    lanes = go_on(lanes, np.array([False, True]), 1.01)
    assert lanes.said.num_rounds[1] == 4 and (lanes.said.ious[1] > 0).all()
    alone = lanes.said.ious[1]
    lanes = started(lanes, 0, first)
    both = started(lanes, 1, second)
    ended = go_on(both, np.array([True, True]), 1.01).said
    np.testing.assert_array_equal(ended.num_rounds, [4, 4])
    np.testing.assert_allclose(ended.ious[0], alone, atol=1e-6)


def test_idle_lanes_alone_are_not_played():
    (target,) = draw_targets([(40, 52)])
    lanes = started(no_work(2, SIZE, PROTOCOL), 1, target)
    after = go_on(lanes, np.array([False, False]), 1.01)
    np.testing.assert_array_equal(after.said.prob, lanes.said.prob)
