import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mst_jax.interaction.rollout import rollout, start_rollout
from mst_jax.structs import Clicks

WIDTH = 10


def fill_columns(clicks, prob, roi):
    """Fill one more column than there are clicks."""
    column = jnp.arange(WIDTH)[None, None, :]
    filled = column < clicks.num_clicks[:, None, None] + 1
    return jnp.where(filled, 0.9, 0.1) + 0 * prob, roi + 1


def click_on_diagonal(prob, clicks, round_index):
    return clicks.append(jnp.full((len(prob), 2), round_index), round_index % 2)


@pytest.fixture
def scene():
    """Return two examples whose targets are the first 4 and the first 8 columns."""
    target = jnp.arange(WIDTH)[None, None, :] < jnp.array([4, 8])[:, None, None]
    target = jnp.broadcast_to(target, (2, 1, WIDTH))
    start = start_rollout(Clicks.empty(2, num_slots=4), 1, WIDTH, max_rounds=6)
    return start, target, jnp.ones_like(target)


def run(scene, predict=fill_columns, **kwargs):
    return rollout(predict, click_on_diagonal, *scene, **kwargs)


def test_rounds_are_logged_and_get_a_click(scene):
    end = run(scene, num_rounds=3)
    np.testing.assert_allclose(
        end.ious,
        [[1 / 4, 2 / 4, 3 / 4, 0, 0, 0], [1 / 8, 2 / 8, 3 / 8, 0, 0, 0]],
        rtol=1e-6,
    )
    np.testing.assert_array_equal(end.num_rounds, [3, 3])
    np.testing.assert_array_equal(end.clicks.label, [[0, 1, 0, -1]] * 2)
    np.testing.assert_array_equal(end.clicks.yx[0, :3], [[0, 0], [1, 1], [2, 2]])
    np.testing.assert_array_equal(end.rois[0, :, 0], [0, 1, 2, -1, -1, -1])
    assert (end.prob[0, 0] > 0.5).tolist() == [True] * 3 + [False] * 7


def test_a_finished_example_stays_while_the_others_continue(scene):
    end = run(scene, num_rounds=6, stop_iou=0.5)
    np.testing.assert_array_equal(end.num_rounds, [2, 4])
    np.testing.assert_allclose(
        end.ious,
        [[1 / 4, 2 / 4, 0, 0, 0, 0], [1 / 8, 2 / 8, 3 / 8, 4 / 8, 0, 0]],
        rtol=1e-6,
    )
    np.testing.assert_array_equal(end.clicks.num_clicks, [1, 3])
    assert (end.prob > 0.5).sum(axis=(1, 2)).tolist() == [2, 4]
    assert end.roi[:, 0].tolist() == [1, 3]


def test_the_loop_ends_when_all_are_finished(scene):
    calls = []

    def counting(clicks, prob, roi):
        jax.debug.callback(lambda: calls.append(1))
        return fill_columns(clicks, prob, roi)

    run(scene, counting, num_rounds=6, stop_iou=0.2)
    jax.effects_barrier()
    assert len(calls) == 2


def test_the_number_of_rounds_may_be_traced(scene):
    run_jit = jax.jit(lambda num: run(scene, num_rounds=num))
    for num in (0, 1, 3):
        jax.tree.map(
            np.testing.assert_array_equal, run_jit(num), run(scene, num_rounds=num)
        )


def test_no_round_changes_nothing(scene):
    jax.tree.map(np.testing.assert_array_equal, run(scene, num_rounds=0), scene[0])


@pytest.mark.parametrize("stop_iou", [np.inf, 0.6])
def test_a_continued_rollout_equals_a_longer_one(scene, stop_iou):
    def click_at_origin(prob, clicks, round_index):
        return clicks.append(jnp.zeros((len(prob), 2)), 1)

    def continue_from(start, num):
        return rollout(
            fill_columns,
            click_at_origin,
            start,
            *scene[1:],
            num_rounds=num,
            stop_iou=stop_iou,
        )

    jax.tree.map(
        np.testing.assert_array_equal,
        continue_from(continue_from(scene[0], 2), 3),
        continue_from(scene[0], 5),
    )


def test_full_slots_and_full_logs_stay_unchanged(scene):
    start = dataclasses.replace(
        scene[0], ious=scene[0].ious[:, :2], rois=scene[0].rois[:, :2]
    )
    end = run((start, *scene[1:]), num_rounds=6)
    np.testing.assert_array_equal(end.num_rounds, [6, 6])
    np.testing.assert_allclose(end.ious, [[1 / 4, 2 / 4], [1 / 8, 2 / 8]], rtol=1e-6)
    np.testing.assert_array_equal(end.clicks.num_clicks, [4, 4])


def test_pause_returns_when_one_more_example_is_finished(scene):
    """The examples finish after rounds 2 and 4."""
    first = run(scene, num_rounds=6, stop_iou=0.5, stop_at_next_finished=True)
    np.testing.assert_array_equal(first.num_rounds, [2, 2])
    second = run(
        (first, *scene[1:]), num_rounds=6, stop_iou=0.5, stop_at_next_finished=True
    )
    np.testing.assert_array_equal(second.num_rounds, [2, 4])
    whole = run(scene, num_rounds=6, stop_iou=0.5)
    np.testing.assert_array_equal(second.ious, whole.ious)
