import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from mst_jax.training.optimizer import hold, layer_rates, make_optimizer


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
        ({"layer_decay": 0.0}, "layer_decay is 0.0"),
        ({"layer_decay": 1.1}, "layer_decay is 1.1"),
    ],
)
def test_wrong_values_are_named(settings, sentence):
    with pytest.raises(ValueError, match=sentence):
        make_optimizer(10, **{"learning_rate": 1.0, **settings})


def model(depth=2, extra=()):
    """A tree with the paths of a model and one number in each leaf."""
    names = ["embed", *(f"backbone/block{number}" for number in range(depth)), *extra]
    tree = {}
    for path in names:
        branch = tree
        for step in path.split("/"):
            branch = branch.setdefault(step, {})
        branch["kernel"] = jnp.ones(1)
    return tree


def test_layers_learn_the_slower_the_deeper_they_lie():
    tree = model(2, ["backbone/insertions_0", "neck", "decoder/block0"])
    assert layer_rates(tree, decay=0.5) == {
        "embed": {"kernel": 0.125},
        "backbone": {
            "block0": {"kernel": 0.25},
            "block1": {"kernel": 0.5},
            "insertions_0": {"kernel": 1.0},
        },
        "neck": {"kernel": 1.0},
        "decoder": {"block0": {"kernel": 1.0}},
    }
    assert layer_rates(model(12), decay=0.9)["backbone"]["block11"]["kernel"] == 0.9
    assert layer_rates({"a": 1}, decay=0.9) == {"a": 1.0}


def by_hand(value, gradients, *, rate, decay, betas=(0.9, 0.999)):
    """AdamW in NumPy: Loshchilov and Hutter, ICLR 2019, Algorithm 2, eps 1e-8."""
    mean = square = 0.0
    for number, gradient in enumerate(gradients, 1):
        mean = betas[0] * mean + (1 - betas[0]) * gradient
        square = betas[1] * square + (1 - betas[1]) * gradient**2
        mean_hat = mean / (1 - betas[0] ** number)
        square_hat = square / (1 - betas[1] ** number)
        step = mean_hat / (np.sqrt(square_hat) + 1e-8) + decay * value
        value = value - rate * step
    return value


def stepped(params, gradients, **settings):
    optimizer, _ = make_optimizer(10, learning_rate=0.1, decay="none", **settings)
    state = optimizer.init(params)
    for gradient in gradients:
        change, state = optimizer.update(gradient, state, params)
        params = optax.apply_updates(params, change)
    return params, state


def test_three_steps_of_everything_by_hand():
    """Decay by path rules, rates by depth, one part frozen, clipped by what is free."""
    params = jax.tree.map(lambda leaf: 2.0 * leaf, model(1, ["decoder"]))
    gradients = [
        {
            "embed": {"kernel": jnp.array([3.0 * n])},
            "backbone": {"block0": {"kernel": jnp.array([100.0])}},
            "decoder": {"kernel": jnp.array([4.0 * n])},
        }
        for n in (1.0, 2.0, 0.01)
    ]
    after, state = stepped(
        params,
        gradients,
        weight_decay=0.1,
        decay_rules=(("embed/.*", 2.0), (".*", 1.0)),
        clip_norm=1.0,
        layer_decay=0.5,
        frozen=("backbone/.*",),
    )
    # Norms without the frozen part: 5, 10 and 0.05; the last is not clipped.
    seen = [(0.6, 0.8), (0.6, 0.8), (0.03, 0.04)]
    embed = by_hand(2.0, [pair[0] for pair in seen], rate=0.1 * 0.25, decay=0.2)
    decoder = by_hand(2.0, [pair[1] for pair in seen], rate=0.1, decay=0.1)
    np.testing.assert_allclose(after["embed"]["kernel"], [embed], rtol=1e-5)
    np.testing.assert_allclose(after["decoder"]["kernel"], [decoder], rtol=1e-5)
    assert float(after["backbone"]["block0"]["kernel"][0]) == 2.0
    # Two counts; a mean and a square for each of two parameters, none for the third.
    assert len(jax.tree.leaves(state)) == 2 + 2 * 2


def test_a_frozen_pattern_that_matches_nothing_is_named():
    optimizer, _ = make_optimizer(10, learning_rate=0.1, frozen=("backbon/.*",))
    with pytest.raises(ValueError, match=r"config.optimizer.frozen: 'backbon/\.\*'"):
        optimizer.init(model())


def test_a_parameter_without_decay_rule_is_named():
    with pytest.raises(ValueError, match=r"decay_rules has no rule for embed/kernel"):
        stepped(model(), [model()], weight_decay=0.1, decay_rules=(("b.*", 1.0),))


def test_held_parameters_have_no_gradient():
    params = {"a": jnp.float32(3.0), "b": jnp.float32(5.0)}

    def product(params):
        held = hold(params, ("a",))
        return held["a"] * held["b"]

    assert jax.grad(product)(params) == {"a": 0.0, "b": 3.0}


def test_rules_slow_some_parameters_down_on_top_of_their_depth():
    tree = model(2, ["neck"])

    def step(**options):
        optimizer, _ = make_optimizer(
            10, learning_rate=0.1, decay="none", layer_decay=0.5, **options
        )
        change, _ = optimizer.update(tree, optimizer.init(tree), tree)
        return change

    plain = step()
    slowed = step(rate_rules=(("backbone/.*1/.*", 0.1), ("embed/.*", 0.0)))
    want = jax.tree.map(lambda x: x, plain)
    want["backbone"]["block1"]["kernel"] *= 0.1
    want["embed"]["kernel"] *= 0.0
    jax.tree.map(np.testing.assert_allclose, slowed, want)
    with pytest.raises(ValueError, match="rate_rules"):
        step(rate_rules=(("neck/(", 0.1),))
