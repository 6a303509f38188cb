import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mst_jax.structs import Clicks, MultiScaleTokens
from mst_jax.tokens.selection import (
    TOP_K_ESTIMATORS,
    TokenSelection,
    count_selected,
    select_tokens,
)
from mst_jax.tokens.top_k import straight_through_top_k

SELECTION_OPTIONS = dict(
    patch_size=4,
    score_heads=2,
    fuse_heads=2,
    expert_ratio=1,
    mlp_ratio=1,
    pool_size=1,
    keep_ratio=1 / 4,
    threshold=None,
    self_attend_clicks=True,
    layer_scale_init=1.0,
    use_mlp=False,
)


def random_multi_scale(rng, height, width, clicks, num_channels=4):
    """Tokens of both scales for a grid of height x width base tokens."""
    num_fine, num_coarse = 4 * height * width, height * width // 4
    shapes = [
        *((1, num_fine, num_channels), (1, num_coarse, num_channels)),
        *((num_fine, num_channels), (num_coarse, num_channels)),
    ]
    arrays = (jnp.asarray(rng.normal(size=shape), jnp.float32) for shape in shapes)
    return MultiScaleTokens(*arrays, clicks)


def positive_click(y, x):
    return Clicks(yx=jnp.array([[[y, x]]], jnp.float32), label=jnp.array([[1]]))


@pytest.fixture(scope="module")
def selection_case():
    """Grid 2x4, multi-scale tokens, and a function that makes a selection.

    The function returns the selection's apply function and nonzero variables.
    """
    rng = np.random.default_rng(0)
    grid = jnp.asarray(rng.normal(size=(1, 2, 4, 4)), jnp.float32)
    multi_scale = random_multi_scale(rng, 2, 4, positive_click(5.0, 13.9))

    def make_selection(**changes):
        module = TokenSelection(**SELECTION_OPTIONS | changes)
        variables = jax.eval_shape(module.init, jax.random.key(1), grid, multi_scale)
        rng = np.random.default_rng(2)
        variables = jax.tree.map(
            lambda leaf: jnp.asarray(0.5 * rng.normal(size=leaf.shape), jnp.float32),
            variables,
        )
        return jax.jit(module.apply), variables

    return grid, multi_scale, make_selection


def random_click_token():
    rng = np.random.default_rng(5)
    return jnp.asarray(rng.normal(size=(1, 4)), jnp.float32)


def test_click_token_is_the_base_token_under_the_click(selection_case):
    grid, multi_scale, make_selection = selection_case
    apply, variables = make_selection(self_attend_clicks=False)
    _, _, selection = apply(variables, grid, multi_scale)
    # Row 5 is in the second row of patches of 4 pixels, column 13.9 in the fourth
    # column.
    np.testing.assert_allclose(selection.click[0], grid[0, 1, 3], atol=1e-6)


def test_tokens_with_the_highest_scores_are_selected_with_positions(selection_case):
    grid, multi_scale, make_selection = selection_case
    apply, variables = make_selection()
    _, updated, selection = apply(variables, grid, multi_scale)
    for selected, tokens, positions, num_selected in (
        (selection.fine, updated.fine, multi_scale.fine_positions, 8),
        (selection.coarse, updated.coarse, multi_scale.coarse_positions, 1),
    ):
        scores = np.asarray(selected.scores[0])
        highest = np.argsort(-scores, kind="stable")[:num_selected]
        np.testing.assert_array_equal(selected.index[0], highest)
        np.testing.assert_allclose(
            selected.tokens[0], (tokens[0] + positions)[highest], atol=1e-6
        )
        click_token = np.asarray(selection.click[0])
        cosine = np.asarray(tokens[0]) @ click_token
        cosine /= np.linalg.norm(tokens[0], axis=1) * np.linalg.norm(click_token)
        np.testing.assert_allclose(scores, (cosine + 1) / 2, atol=1e-5)


def test_layer_scales_of_zero_fuse_nothing(selection_case):
    grid, multi_scale, make_selection = selection_case
    apply, variables = make_selection()
    params = dict(variables["params"])
    params["gamma2"] = jnp.zeros(4)
    updated_grid, _, selection = apply({"params": params}, grid, multi_scale)
    np.testing.assert_array_equal(updated_grid, grid)
    params["gamma"] = jnp.zeros(4)
    _, _, selection = apply({"params": params}, grid, multi_scale)
    np.testing.assert_array_equal(selection.fused, selection.fine.tokens)


def test_every_base_token_depends_on_every_selected_token(selection_case):
    grid, multi_scale, make_selection = selection_case
    apply, variables = make_selection()

    def apply_to(fine, coarse):
        changed = dataclasses.replace(multi_scale, fine=fine, coarse=coarse)
        return apply(variables, grid, changed)

    jacobian = jax.jit(jax.jacrev(lambda *x: apply_to(*x)[0][0].sum(-1), (0, 1)))
    fine_jacobian, coarse_jacobian = jacobian(multi_scale.fine, multi_scale.coarse)
    selection = apply_to(multi_scale.fine, multi_scale.coarse)[2]
    dependence = np.abs(np.asarray(fine_jacobian)).max((2, 4))  # [h w n]
    is_selected = np.zeros(32, bool)
    is_selected[np.asarray(selection.fine.index[0])] = True
    assert (dependence[..., is_selected] > 0).all()
    np.testing.assert_array_equal(dependence[..., ~is_selected], 0)
    assert np.abs(np.asarray(coarse_jacobian)).max() > 0


def test_selection_with_mlp_has_no_second_layer_scale(selection_case):
    grid, multi_scale, make_selection = selection_case
    apply, variables = make_selection(use_mlp=True, layer_scale_init=0.0)
    params = variables["params"]
    assert "gamma" in params and "gamma2" not in params
    assert params["mlp"]["hidden"]["kernel"].shape == (4, 16)
    zero_mlp = params | {"mlp": jax.tree.map(jnp.zeros_like, params["mlp"])}
    with_mlp, _, _ = apply(variables, grid, multi_scale)
    without_mlp, _, _ = apply({"params": zero_mlp}, grid, multi_scale)
    assert np.abs(with_mlp - without_mlp).max() > 1e-3


@pytest.mark.parametrize("layer_scale_init", [0.0, 1.0])
def test_layer_scales_have_the_given_initial_value(selection_case, layer_scale_init):
    grid, multi_scale, _ = selection_case
    options = SELECTION_OPTIONS | {"layer_scale_init": layer_scale_init}
    module = TokenSelection(**options)

    @jax.jit
    def layer_scales():
        params = module.init(jax.random.key(1), grid, multi_scale)["params"]
        return params["gamma"], params["gamma2"]

    np.testing.assert_array_equal(layer_scales(), np.full((2, 4), layer_scale_init))


@pytest.mark.parametrize("top_k", list(TOP_K_ESTIMATORS))
def test_every_estimator_gives_gradients_to_scores(selection_case, top_k):
    """The click token affects the selection only, and has a gradient through it."""
    _, multi_scale, _ = selection_case

    def total(click_token):
        selected = select_tokens(
            multi_scale.fine,
            multi_scale.fine_positions,
            click_token,
            jax.random.key(0),
            top_k=top_k,
            keep_ratio=1 / 8,
            threshold=None,
        )
        return jnp.square(selected.tokens).sum()

    gradient = jax.jit(jax.grad(total))(random_click_token())
    assert np.isfinite(gradient).all() and np.abs(gradient).max() > 1e-4


def test_selection_is_the_product_with_the_weights(selection_case):
    _, multi_scale, _ = selection_case
    options = dict(top_k="straight_through", keep_ratio=1 / 2, threshold=0.6)
    selected_tokens = jax.jit(partial(select_tokens, **options))(
        multi_scale.fine, multi_scale.fine_positions, random_click_token(), None
    )
    estimator = partial(straight_through_top_k, num_selected=16, threshold=0.6)
    weights, index, selected = jax.jit(estimator)(selected_tokens.scores[0])
    assert 0 < selected.sum() < 16
    expected = weights @ multi_scale.fine[0] + weights @ multi_scale.fine_positions
    np.testing.assert_allclose(selected_tokens.tokens[0], expected, atol=1e-6)
    np.testing.assert_array_equal(selected_tokens.index[0], index)
    np.testing.assert_array_equal(selected_tokens.selected[0], selected)


def test_noise_needs_a_key(selection_case):
    """Evaluation has no key: every estimator makes the hard selection."""
    grid, multi_scale, make_selection = selection_case
    apply, variables = make_selection()
    expected = apply(variables, grid, multi_scale)[0]
    for top_k in ("perturbed", "gumbel"):
        apply = jax.jit(TokenSelection(**SELECTION_OPTIONS | {"top_k": top_k}).apply)
        without_key = apply(variables, grid, multi_scale)[0]
        np.testing.assert_allclose(without_key, expected, atol=1e-5)
        first, second = (
            apply(
                variables,
                grid,
                multi_scale,
                rngs={"token_selection": jax.random.key(seed)},
            )[0]
            for seed in range(2)
        )
        assert np.abs(first - second).max() > 1e-5


def test_attention_to_coarse_tokens_has_two_heads(selection_case):
    _, _, make_selection = selection_case
    params = make_selection(fuse_heads=4)[1]["params"]
    assert params["coarse_to_fine"]["query"]["kernel"].shape == (4, 2, 2)
    assert params["fused_to_grid"]["query"]["kernel"].shape == (4, 4, 1)


def test_number_of_selected_tokens_is_rounded_down_to_at_least_one():
    for num_tokens, num_selected in ((7, 1), (8, 2), (3, 1)):
        tokens = jnp.ones((1, num_tokens, 2))
        options = dict(top_k="straight_through", keep_ratio=1 / 4, threshold=None)
        select = partial(select_tokens, **options)
        selected = jax.eval_shape(select, tokens, tokens[0], tokens[:, 0], None)
        assert selected.index.shape == (1, num_selected)


def test_keep_ratio_of_one_nth_is_integer_division():
    """At every size, also where the floating-point product is a little too small."""
    assert int(49 * (1 / 49)) == 0 and count_selected(49, 1 / 49) == 1
    for divisor in range(1, 65):
        for num_tokens in range(1, 17000, 7):
            expected = max(num_tokens // divisor, 1)
            assert count_selected(num_tokens, 1 / divisor) == expected


def test_examples_have_their_own_noise():
    tokens = jnp.asarray(np.random.default_rng(0).normal(size=(1, 16, 3)), jnp.float32)
    twice = jnp.concatenate([tokens, tokens])
    options = dict(top_k="perturbed", keep_ratio=1 / 4, threshold=None)
    select = jax.jit(partial(select_tokens, **options))
    selected = select(twice, tokens[0], twice[:, 0], jax.random.key(0))
    np.testing.assert_array_equal(*selected.scores)
    assert np.abs(selected.tokens[0] - selected.tokens[1]).max() > 1e-3
