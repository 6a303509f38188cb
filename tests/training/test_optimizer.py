"""Schedules and steps of the optimizer, by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from mst_jax.training.optimizer import (
    OptimizerOptions,
    layerwise_lr_factors,
    make_optimizer,
    stop_frozen_gradients,
)


def build_optimizer(num_steps=10, learning_rate=0.1, **options):
    """Return the optimizer of these options, without schedule unless it is given."""
    options = dict(schedule="none") | options
    return make_optimizer(
        OptimizerOptions(learning_rate, **options), num_steps=num_steps
    )[0]


def learning_rates(num_steps, **options):
    _, schedule = make_optimizer(OptimizerOptions(1.0, **options), num_steps=num_steps)
    return [round(float(schedule(step)), 4) for step in range(num_steps)]


def test_learning_rates_of_each_schedule():
    assert learning_rates(4, schedule="none") == [1, 1, 1, 1]
    assert learning_rates(4, schedule="cosine") == [1, 0.8536, 0.5, 0.1464]
    rates = learning_rates(6, schedule="cosine", warmup=2)
    assert rates == [0, 0.5, 1, 0.8536, 0.5, 0.1464]
    rates = learning_rates(10, schedule="steps", milestones=(0.5, 0.8))
    assert rates == [1, 1, 1, 1, 1, 0.1, 0.1, 0.1, 0.01, 0.01]
    rates = learning_rates(10, schedule="steps", milestones=(0.5,), warmup=2)
    assert rates == [0, 0.5, 1, 1, 1, 0.1, 0.1, 0.1, 0.1, 0.1]


PARAMS = {"dense": {"kernel": jnp.full(2, 4.0), "bias": jnp.full(2, 4.0)}}
GRADIENT = {"dense": {"kernel": jnp.array([3.0, 0.0]), "bias": jnp.array([0.0, 4.0])}}


def first_update(**options):
    optimizer = build_optimizer(**options)
    updates, _ = optimizer.update(GRADIENT, optimizer.init(PARAMS), PARAMS)
    return updates["dense"]


def test_adam_takes_a_whole_step_where_there_is_a_gradient():
    updates = first_update(name="adam")
    np.testing.assert_allclose(updates["kernel"], [-0.1, 0], atol=1e-6)
    np.testing.assert_allclose(updates["bias"], [0, -0.1], atol=1e-6)


def test_only_kernels_have_weight_decay():
    updates = first_update(weight_decay=0.5)
    # 0.1 * 0.5 * 4 = 0.2 on top of Adam's step
    np.testing.assert_allclose(updates["kernel"], [-0.3, -0.2], atol=1e-6)
    np.testing.assert_allclose(updates["bias"], [0, -0.1], atol=1e-6)


def test_the_gradient_is_clipped_by_its_global_norm():
    optimizer = build_optimizer(learning_rate=1.0, clip_norm=0.5, name="adam")
    _, state = optimizer.update(GRADIENT, optimizer.init(PARAMS), PARAMS)
    means = state[1][0].mu["dense"]
    # The norm 5 becomes 0.5; Adam's mean holds a tenth of the gradient.
    np.testing.assert_allclose(means["kernel"], [0.03, 0], atol=1e-6)
    np.testing.assert_allclose(means["bias"], [0, 0.04], atol=1e-6)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"name": "sgd"}, "name is 'sgd'; choose one of adamw, adam"),
        ({"schedule": "poly"}, "schedule is 'poly'; choose one of cosine"),
        ({"name": "adam", "weight_decay": 0.1}, "needs name='adamw'"),
        ({"learning_rate": -1.0}, "learning_rate is -1.0, out of range"),
        ({"warmup": -1}, "warmup is -1, out of range"),
        (
            {"warmup": 11},
            "config.optimizer.warmup is 11, more than the 10 steps of the run; expected "
            "0 to 10, such as --config.optimizer.warmup=1",
        ),
        ({"clip_norm": -0.1}, "clip_norm is -0.1"),
        ({"weight_decay": -0.1}, "weight_decay is -0.1"),
        ({"betas": (0.9, 1.0)}, "betas is"),
        ({"milestones": (1.5,)}, "milestones is"),
        ({"layerwise_lr_decay": 0.0}, "layerwise_lr_decay is 0.0"),
        ({"layerwise_lr_decay": 1.1}, "layerwise_lr_decay is 1.1"),
    ],
)
def test_wrong_values_are_named(options, sentence):
    options = {"learning_rate": 1.0, **options}
    with pytest.raises(ValueError, match=sentence):
        make_optimizer(OptimizerOptions(**options), num_steps=10)


def make_tree(depth=2, extra_paths=()):
    """Return a tree with the paths of a model and one number in each leaf."""
    blocks = [f"backbone/block{index}" for index in range(depth)]
    tree = {}
    for path in ["embed", *blocks, *extra_paths]:
        branch = tree
        for name in path.split("/"):
            branch = branch.setdefault(name, {})
        branch["kernel"] = jnp.ones(1)
    return tree


def test_earlier_layers_have_lower_learning_rates():
    tree = make_tree(2, ["backbone/insertions_0", "neck", "decoder/block0"])
    assert layerwise_lr_factors(tree, decay=0.5) == {
        "embed": {"kernel": 0.125},
        "backbone": {
            "block0": {"kernel": 0.25},
            "block1": {"kernel": 0.5},
            "insertions_0": {"kernel": 1.0},
        },
        "neck": {"kernel": 1.0},
        "decoder": {"block0": {"kernel": 1.0}},
    }
    factors = layerwise_lr_factors(make_tree(12), decay=0.9)
    assert factors["backbone"]["block11"]["kernel"] == 0.9
    assert layerwise_lr_factors({"a": 1}, decay=0.9) == {"a": 1.0}


def adamw_by_hand(value, gradients, *, learning_rate, weight_decay, betas=(0.9, 0.999)):
    """AdamW in NumPy: Loshchilov and Hutter, ICLR 2019, Algorithm 2, eps 1e-8."""
    mean = square = 0.0
    for step, gradient in enumerate(gradients, 1):
        mean = betas[0] * mean + (1 - betas[0]) * gradient
        square = betas[1] * square + (1 - betas[1]) * gradient**2
        mean_hat = mean / (1 - betas[0] ** step)
        square_hat = square / (1 - betas[1] ** step)
        update = mean_hat / (np.sqrt(square_hat) + 1e-8) + weight_decay * value
        value = value - learning_rate * update
    return value


def run_steps(params, gradients, **options):
    """Return the parameters and the optimizer's state after steps with these gradients."""
    optimizer = build_optimizer(**options)
    state = optimizer.init(params)
    for gradient in gradients:
        updates, state = optimizer.update(gradient, state, params)
        params = optax.apply_updates(params, updates)
    return params, state


def test_three_steps_with_all_options_by_hand():
    """Weight decay by path rules, layer-wise decay, a frozen part, clipping of the rest."""
    params = jax.tree.map(lambda leaf: 2.0 * leaf, make_tree(1, ["decoder"]))
    gradients = [
        {
            "embed": {"kernel": jnp.array([3.0 * scale])},
            "backbone": {"block0": {"kernel": jnp.array([100.0])}},
            "decoder": {"kernel": jnp.array([4.0 * scale])},
        }
        for scale in (1.0, 2.0, 0.01)
    ]
    new_params, state = run_steps(
        params,
        gradients,
        weight_decay=0.1,
        weight_decay_rules=(("embed/.*", 2.0), (".*", 1.0)),
        clip_norm=1.0,
        layerwise_lr_decay=0.5,
        frozen=("backbone/.*",),
    )
    # Norms without the frozen part: 5, 10 and 0.05; the last is not clipped.
    clipped = [(0.6, 0.8), (0.6, 0.8), (0.03, 0.04)]
    embed = adamw_by_hand(
        2.0, [pair[0] for pair in clipped], learning_rate=0.1 * 0.25, weight_decay=0.2
    )
    decoder = adamw_by_hand(
        2.0, [pair[1] for pair in clipped], learning_rate=0.1, weight_decay=0.1
    )
    np.testing.assert_allclose(new_params["embed"]["kernel"], [embed], rtol=1e-5)
    np.testing.assert_allclose(new_params["decoder"]["kernel"], [decoder], rtol=1e-5)
    assert float(new_params["backbone"]["block0"]["kernel"][0]) == 2.0
    # Two counts; a mean and a square for each of two parameters, none for the third.
    assert len(jax.tree.leaves(state)) == 2 + 2 * 2


def test_a_frozen_pattern_without_a_match_is_named():
    optimizer = build_optimizer(frozen=("backbon/.*",))
    with pytest.raises(ValueError, match=r"config.optimizer.frozen: 'backbon/\.\*'"):
        optimizer.init(make_tree())


def test_a_parameter_without_weight_decay_rule_is_named():
    tree = make_tree()
    with pytest.raises(ValueError, match="weight_decay_rules has no rule for embed/k"):
        run_steps(tree, [tree], weight_decay=0.1, weight_decay_rules=(("b.*", 1.0),))


def test_frozen_parameters_have_no_gradient():
    params = {"a": jnp.float32(3.0), "b": jnp.float32(5.0)}

    def product(params):
        stopped = stop_frozen_gradients(params, ("a",))
        return stopped["a"] * stopped["b"]

    assert jax.grad(product)(params) == {"a": 0.0, "b": 3.0}


def test_lr_rules_multiply_the_layerwise_factors():
    tree = make_tree(2, ["neck"])

    def updates_with(**options):
        optimizer = build_optimizer(layerwise_lr_decay=0.5, **options)
        return optimizer.update(tree, optimizer.init(tree), tree)[0]

    lr_rules = (("backbone/.*1/.*", 0.1), ("embed/.*", 0.0))
    expected = jax.tree.map(lambda x: x, updates_with())
    expected["backbone"]["block1"]["kernel"] *= 0.1
    expected["embed"]["kernel"] *= 0.0
    updates = updates_with(lr_rules=lr_rules)
    jax.tree.map(np.testing.assert_allclose, updates, expected)
    with pytest.raises(ValueError, match="lr_rules"):
        updates_with(lr_rules=(("neck/(", 0.1),))
