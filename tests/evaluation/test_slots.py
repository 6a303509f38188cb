import jax
import numpy as np
from jax.sharding import Mesh

from mst_jax.evaluation.protocol import EvaluationProtocol
from mst_jax.evaluation.slots import (
    SLOT_AXIS,
    advance_slots,
    empty_slots,
    start_session,
)
from mst_jax.interaction.inference_options import ZoomOptions
from tests.helpers.analytic_network import analytic_model, draw_targets

PROTOCOL = EvaluationProtocol(max_clicks=4, zoom=ZoomOptions(size=32, min_side=16))
SIZE = (64, 64)
STATIC_ARGUMENTS = {
    "protocol": PROTOCOL,
    "device_mesh": Mesh(np.array(jax.devices()[:1]), (SLOT_AXIS,)),
}
start = jax.jit(lambda *arguments: start_session(*arguments, **STATIC_ARGUMENTS))


@jax.jit
def advance(slots, is_occupied, stop_iou):
    model = jax.tree_util.Partial(analytic_model)
    return advance_slots(model, slots, is_occupied, stop_iou, **STATIC_ARGUMENTS)


def start_in_slot(slots, slot_index, target):
    height, width = target.target.shape
    padding = [(0, SIZE[0] - height), (0, SIZE[1] - width)]
    masks = [np.pad(mask, padding) for mask in (target.target, target.valid)]
    image = np.pad(target.image, [*padding, (0, 0)])
    return start(slots, slot_index, image, np.array([height, width]), *masks, 0)


def test_slots_are_started_advanced_and_refilled_one_by_one():
    first, second = draw_targets([(40, 52), (61, 33)])
    slots = start_in_slot(empty_slots(2, SIZE, PROTOCOL), 1, first)
    np.testing.assert_array_equal(slots.rollout.clicks.num_clicks, [0, 1])
    np.testing.assert_array_equal(slots.size, [[1, 1], [40, 52]])
    slots = advance(slots, np.array([False, True]), 1.01)
    assert slots.rollout.num_rounds[1] == 4 and (slots.rollout.ious[1] > 0).all()
    ious_alone = slots.rollout.ious[1]
    slots = start_in_slot(slots, 0, first)
    slots = start_in_slot(slots, 1, second)
    end = advance(slots, np.array([True, True]), 1.01).rollout
    np.testing.assert_array_equal(end.num_rounds, [4, 4])
    np.testing.assert_allclose(end.ious[0], ious_alone, atol=1e-6)


def test_free_slots_do_not_change():
    (target,) = draw_targets([(40, 52)])
    slots = start_in_slot(empty_slots(2, SIZE, PROTOCOL), 1, target)
    advanced = advance(slots, np.array([False, False]), 1.01)
    np.testing.assert_array_equal(advanced.rollout.prob, slots.rollout.prob)
