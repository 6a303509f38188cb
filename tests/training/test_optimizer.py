import jax.numpy as jnp
import numpy as np
import pytest

from mst_jax.training.optimizer import make_optimizer


def rates(steps, **settings):
    _, schedule = make_optimizer(steps, learning_rate=1.0, **settings)
    return [round(float(schedule(step)), 4) for step in range(steps)]


def test_the_schedules_drawn():
    assert rates(4, decay="none") == [1, 1, 1, 1]
    assert rates(4, decay="cosine") == [1, 0.8536, 0.5, 0.1464]
    assert rates(6, decay="cosine", warmup=2) == [0, 0.5, 1, 0.8536, 0.5, 0.1464]
    milestones = rates(10, decay="steps", milestones=(0.5, 0.8))
    assert milestones == [1, 1, 1, 1, 1, 0.1, 0.1, 0.1, 0.01, 0.01]
    late = rates(10, decay="steps", milestones=(0.5,), warmup=2)
    assert late == [0, 0.5, 1, 1, 1, 0.1, 0.1, 0.1, 0.1, 0.1]


PARAMS = {"dense": {"kernel": jnp.full(2, 4.0), "bias": jnp.full(2, 4.0)}}
GRADIENT = {"dense": {"kernel": jnp.array([3.0, 0.0]), "bias": jnp.array([0.0, 4.0])}}


def first_change(**settings):
    optimizer, _ = make_optimizer(10, learning_rate=0.1, decay="none", **settings)
    change, _ = optimizer.update(GRADIENT, optimizer.init(PARAMS), PARAMS)
    return change["dense"]


def test_adam_takes_a_whole_step_where_there_is_a_gradient():
    change = first_change(name="adam")
    np.testing.assert_allclose(change["kernel"], [-0.1, 0], atol=1e-6)
    np.testing.assert_allclose(change["bias"], [0, -0.1], atol=1e-6)


def test_only_kernels_decay():
    change = first_change(weight_decay=0.5)
    # 0.1 * 0.5 * 4 = 0.2 on top of Adam's step
    np.testing.assert_allclose(change["kernel"], [-0.3, -0.2], atol=1e-6)
    np.testing.assert_allclose(change["bias"], [0, -0.1], atol=1e-6)


def test_the_gradient_is_clipped_as_a_whole():
    optimizer, _ = make_optimizer(
        10, learning_rate=1.0, decay="none", clip_norm=0.5, name="adam"
    )
    _, state = optimizer.update(GRADIENT, optimizer.init(PARAMS), PARAMS)
    means = state[1][0].mu["dense"]
    # The norm 5 becomes 0.5; Adam's mean holds a tenth of the gradient.
    np.testing.assert_allclose(means["kernel"], [0.03, 0], atol=1e-6)
    np.testing.assert_allclose(means["bias"], [0, 0.04], atol=1e-6)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"name": "sgd"}, "name is 'sgd'; choose one of adamw, adam"),
        ({"decay": "poly"}, "decay is 'poly'; choose one of cosine"),
        ({"name": "adam", "weight_decay": 0.1}, "needs name='adamw'"),
        ({"learning_rate": -1.0}, "config.optimizer.learning_rate is -1.0, out of"),
        ({"warmup": 11}, "warmup is 11, out of range for 10 steps"),
        ({"clip_norm": -0.1}, "clip_norm is -0.1"),
        ({"weight_decay": -0.1}, "weight_decay is -0.1"),
        ({"betas": (0.9, 1.0)}, "betas is"),
        ({"milestones": (1.5,)}, "milestones is"),
    ],
)
def test_wrong_values_are_named(settings, sentence):
    with pytest.raises(ValueError, match=sentence):
        make_optimizer(10, **{"learning_rate": 1.0, **settings})
