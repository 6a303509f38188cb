import numpy as np
import pytest

from mst_jax.data.targets import EvaluationTarget
from mst_jax.evaluation import batched, simulate, simulate_many
from mst_jax.evaluation.protocol import session_seed
from tests.helpers.analytic_network import bumps, draw_targets

# Two buckets: 128x128 and 256x128.
SIZES = [(40, 52), (61, 33), (140, 40), (90, 30), (128, 128), (129, 50), (33, 33)]
SETTINGS = dict(max_clicks=4, zoom=48, zoom_min_side=16)
STOP = 0.5


@pytest.fixture(scope="module")
def targets():
    return draw_targets(SIZES)


@pytest.fixture(scope="module")
def alone(targets):
    return {one.id: played_alone(one) for one in targets}


def played_alone(target, **settings):
    settings = SETTINGS | {"seed": session_seed(0, target.id)} | settings
    return simulate(bumps, *target[1:], stop_iou=STOP, **settings)


def played_together(targets, **settings):
    settings = SETTINGS | {"num_lanes": 2} | settings
    found = list(simulate_many(bumps, targets, stop_iou=STOP, **settings))
    assert len({one.id for one, _ in found}) == len(found)
    return {one.id: session for one, session in found}


def test_sessions_are_those_played_alone(targets, alone):
    together = played_together(targets)
    assert together.keys() == alone.keys()
    lengths = {len(session.ious) for session in together.values()}
    assert len(lengths) > 1  # so lanes were refilled while others went on
    for name, session in together.items():
        np.testing.assert_array_equal(session.clicks, alone[name].clicks)
        np.testing.assert_array_equal(session.rois, alone[name].rois)
        np.testing.assert_allclose(session.ious, alone[name].ious, atol=1e-5)
        np.testing.assert_allclose(session.prob, alone[name].prob, atol=1e-5)
        assert session.seconds > 0


def test_idle_lanes_take_over_what_waits_in_smaller_buckets(targets, monkeypatch):
    """Four objects and two buckets with three lanes: one program plays them all."""
    played = []
    play = batched.Pool.play
    monkeypatch.setattr(
        batched.Pool, "play", lambda pool: (played.append(pool.area), play(pool))[1]
    )
    together = played_together(targets[:2] + targets[2:3], num_lanes=3)
    assert len(together) == 3 and set(played) == {256 * 128}


def test_without_zoom_the_network_never_sees_padding(targets):
    settings = dict(zoom=None, max_clicks=2)
    together = played_together(targets[:2], num_lanes=2, **settings)
    for target in targets[:2]:
        expected = played_alone(target, **settings)
        np.testing.assert_array_equal(together[target.id].clicks, expected.clicks)
        np.testing.assert_allclose(together[target.id].ious, expected.ious, atol=1e-5)


def test_objects_are_read_when_a_lane_is_free(targets):
    read = []

    def source():
        for target in targets[:2] * 3:
            read.append(target.id)
            yield target

    sessions = simulate_many(bumps, source(), stop_iou=STOP, num_lanes=2, **SETTINGS)
    next(sessions)
    assert len(read) == 2


def test_no_object_gives_no_session():
    assert list(simulate_many(bumps, [], **SETTINGS)) == []


def test_an_object_that_cannot_be_evaluated_is_named(targets):
    image, target, valid = targets[0][1:]
    empty = EvaluationTarget("nothing", image, target & False, valid)
    with pytest.raises(ValueError, match="nothing: target has no valid pixel"):
        list(simulate_many(bumps, [empty], **SETTINGS))
