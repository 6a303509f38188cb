import dataclasses

import numpy as np
import pytest

from mst_jax.data.targets import EvaluationTarget
from mst_jax.evaluation import (
    EvaluationProtocol,
    ahead_of_time,
    batched,
    simulate,
    simulate_batched,
)
from mst_jax.evaluation.protocol import session_seed
from mst_jax.interaction.inference_options import ZoomOptions
from tests.helpers.analytic_network import analytic_model, draw_targets

# Two padded sizes: 128x128 and 256x128.
SIZES = [(40, 52), (61, 33), (140, 40), (90, 30), (128, 128), (129, 50), (33, 33)]
PROTOCOL = EvaluationProtocol(max_clicks=4, zoom=ZoomOptions(size=48, min_side=16))
STOP_IOU = 0.5


@pytest.fixture(scope="module")
def targets():
    return draw_targets(SIZES)


@pytest.fixture(scope="module")
def single_sessions(targets):
    return {target.id: simulate_alone(target) for target in targets}


def simulate_alone(target, protocol=PROTOCOL):
    seed = session_seed(0, target.id)
    return simulate(
        analytic_model, *target[1:], stop_iou=STOP_IOU, seed=seed, protocol=protocol
    )


def simulate_together(targets, protocol=PROTOCOL, batch_size=3):
    ended = list(
        simulate_batched(
            analytic_model,
            targets,
            batch_size=batch_size,
            stop_iou=STOP_IOU,
            protocol=protocol,
        )
    )
    assert len({target.id for target, _ in ended}) == len(ended)
    return {target.id: session for target, session in ended}


def test_sessions_equal_those_simulated_alone(targets, single_sessions):
    num_compiled = ahead_of_time._compile_for_shapes.cache_info().misses
    sessions = simulate_together(targets)
    # Two padded sizes, and two programs for each: the first click and the rounds.
    num_programs = ahead_of_time._compile_for_shapes.cache_info().misses - num_compiled
    assert num_programs <= 2 * 2
    assert sessions.keys() == single_sessions.keys()
    lengths = {len(session.ious) for session in sessions.values()}
    assert len(lengths) > 1  # so slots were refilled while others continued
    for name, session in sessions.items():
        expected = single_sessions[name]
        np.testing.assert_array_equal(session.clicks, expected.clicks)
        np.testing.assert_array_equal(session.rois, expected.rois)
        np.testing.assert_allclose(session.ious, expected.ious, atol=1e-5)
        np.testing.assert_allclose(session.prob, expected.prob, atol=1e-5)
        assert session.seconds > 0


def test_free_slots_take_objects_that_wait_in_smaller_pools(targets, monkeypatch):
    """Three objects, two padded sizes, three slots: one program runs all sessions."""
    used_sizes = []
    run = batched.SlotPool.run_until_session_ends

    def noting_run(pool):
        used_sizes.append(pool.num_pixels)
        return run(pool)

    monkeypatch.setattr(batched.SlotPool, "run_until_session_ends", noting_run)
    sessions = simulate_together(targets[:3])
    assert len(sessions) == 3 and set(used_sizes) == {256 * 128}


def test_the_caller_may_read_all_objects_into_the_same_memory(targets, single_sessions):
    """The smaller two objects move to another pool, after their memory has changed."""

    def reuse_memory():
        for target in targets[:3]:
            buffers = [array.copy() for array in target[1:]]
            yield EvaluationTarget(target.id, *buffers)
            for buffer in buffers:
                buffer[:] = 0

    sessions = simulate_together(reuse_memory())
    for name, session in sessions.items():
        np.testing.assert_array_equal(session.clicks, single_sessions[name].clicks)
        np.testing.assert_allclose(session.ious, single_sessions[name].ious, atol=1e-5)


def fill_from_second_click(image, clicks, prev_mask):
    """Return a mask around the first click, and everything after the second one."""
    logits = analytic_model(image, clicks, prev_mask)
    return logits + 9.0 * (clicks.num_clicks >= 2)[:, None, None]


def test_regions_grow_in_a_batch_as_they_do_alone(targets):
    fixed = dataclasses.replace(PROTOCOL, max_clicks=2)
    zoom = dataclasses.replace(PROTOCOL.zoom, max_growths=2)
    growing = dataclasses.replace(fixed, zoom=zoom)
    model, num_grown = fill_from_second_click, 0
    for target, session in simulate_batched(
        model, targets[:2], batch_size=2, protocol=growing
    ):
        expected = simulate(model, *target[1:], protocol=growing)
        np.testing.assert_array_equal(session.rois, expected.rois)
        np.testing.assert_allclose(session.prob, expected.prob, atol=1e-5)
        # The first region is the whole image; a second one that is not can grow.
        without_growth = simulate(model, *target[1:], protocol=fixed).rois
        np.testing.assert_array_equal(session.rois[0], without_growth[0])
        num_grown += (session.rois[1] != without_growth[1]).any()
    assert num_grown == 1


def test_without_zoom_the_network_never_sees_padding(targets):
    zoom = dataclasses.replace(PROTOCOL.zoom, size=None)
    protocol = EvaluationProtocol(max_clicks=2, zoom=zoom)
    sessions = simulate_together(targets[:2], protocol, batch_size=2)
    for target in targets[:2]:
        expected = simulate_alone(target, protocol)
        np.testing.assert_array_equal(sessions[target.id].clicks, expected.clicks)
        np.testing.assert_allclose(sessions[target.id].ious, expected.ious, atol=1e-5)


def test_objects_are_read_when_a_slot_is_free(targets):
    read_ids = []

    def read_targets():
        for target in targets[:2] * 3:
            read_ids.append(target.id)
            yield target

    sessions = simulate_batched(
        analytic_model,
        read_targets(),
        batch_size=3,
        stop_iou=STOP_IOU,
        protocol=PROTOCOL,
    )
    next(sessions)
    assert len(read_ids) == 3


def test_no_object_gives_no_session():
    assert list(simulate_batched(analytic_model, [], protocol=PROTOCOL)) == []


def test_an_object_that_cannot_be_evaluated_is_named(targets):
    image, target, valid = targets[0][1:]
    empty = EvaluationTarget("nothing", image, target & False, valid)
    with pytest.raises(ValueError, match="nothing: target has no valid pixel"):
        list(simulate_batched(analytic_model, [empty], protocol=PROTOCOL))
