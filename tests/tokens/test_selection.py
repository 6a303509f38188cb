import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mst_jax.structs import Clicks, Lent
from mst_jax.tokens.selection import TokenSelection, choose
from mst_jax.tokens.top_k import TOP_K, straight_through

FIELDS = dict(
    patch=4,
    score_heads=2,
    fuse_heads=2,
    expert_hidden=1,
    mlp_hidden=1,
    reduce=1,
    one_of=4,
    threshold=None,
    attends=True,
    gain=1.0,
    ends_with_mlp=False,
)


def drawn_lent(rng, height, width, clicks, c=4):
    """Tokens of both scales for a grid of height x width base tokens."""
    fine, coarse = 4 * height * width, height * width // 4
    shapes = ((1, fine, c), (1, coarse, c), (fine, c), (coarse, c))
    drawn = (jnp.asarray(rng.normal(size=shape), jnp.float32) for shape in shapes)
    return Lent(*drawn, clicks)


def one_click(y, x):
    return Clicks(yx=jnp.array([[[y, x]]], jnp.float32), label=jnp.array([[1]]))


@pytest.fixture(scope="module")
def case():
    """A selection on a 2x4 grid with parameters none of which is 0."""
    rng = np.random.default_rng(0)
    grid = jnp.asarray(rng.normal(size=(1, 2, 4, 4)), jnp.float32)
    lent = drawn_lent(rng, 2, 4, one_click(5.0, 13.9))

    def run(**changes):
        module = TokenSelection(**FIELDS | changes)
        variables = jax.jit(module.init)(jax.random.key(1), grid, lent)
        draws = np.random.default_rng(2)
        variables = jax.tree.map(
            lambda leaf: jnp.asarray(0.5 * draws.normal(size=leaf.shape), jnp.float32),
            variables,
        )
        return jax.jit(module.apply), variables

    return grid, lent, run


def test_the_click_token_is_the_base_token_under_the_click(case):
    grid, lent, run = case
    apply, variables = run(attends=False)
    _, _, choice = apply(variables, grid, lent)
    # Row 5 is in the second row of patches of 4 pixels, column 13.9 in the fourth column.
    np.testing.assert_allclose(choice.click[0], grid[0, 1, 3], atol=1e-6)


def test_the_best_tokens_are_chosen_with_their_positions(case):
    grid, lent, run = case
    apply, variables = run()
    _, after, choice = apply(variables, grid, lent)
    for chosen, tokens, places, num in (
        (choice.fine, after.fine, lent.fine_positions, 8),
        (choice.coarse, after.coarse, lent.coarse_positions, 1),
    ):
        scores = np.asarray(chosen.scores[0])
        best = np.argsort(-scores, kind="stable")[:num]
        np.testing.assert_array_equal(chosen.index[0], best)
        np.testing.assert_allclose(
            chosen.tokens[0], (tokens[0] + places)[best], atol=1e-6
        )
        cosine = np.asarray(tokens[0]) @ np.asarray(choice.click[0])
        cosine /= np.linalg.norm(tokens[0], axis=1) * np.linalg.norm(choice.click[0])
        np.testing.assert_allclose(scores, (cosine + 1) / 2, atol=1e-5)


def test_both_gains_at_zero_borrow_nothing(case):
    grid, lent, run = case
    apply, variables = run()
    params = dict(variables["params"])
    params["gamma2"] = jnp.zeros(4)
    after, _, choice = apply({"params": params}, grid, lent)
    np.testing.assert_array_equal(after, grid)
    params["gamma"] = jnp.zeros(4)
    _, _, choice = apply({"params": params}, grid, lent)
    np.testing.assert_array_equal(choice.fused, choice.fine.tokens)


def test_every_base_token_borrows_and_every_chosen_token_lends(case):
    grid, lent, run = case
    apply, variables = run()

    def borrowed(fine, coarse):
        changed = dataclasses.replace(lent, fine=fine, coarse=coarse)
        return apply(variables, grid, changed)

    gradient = jax.jit(jax.jacrev(lambda *x: borrowed(*x)[0][0].sum(-1), (0, 1)))
    fine, coarse = gradient(lent.fine, lent.coarse)
    choice = borrowed(lent.fine, lent.coarse)[2]
    heard = np.abs(np.asarray(fine)).max((2, 4))  # [h w n]
    chosen = np.zeros(32, bool)
    chosen[np.asarray(choice.fine.index[0])] = True
    assert (heard[..., chosen] > 0).all()
    np.testing.assert_array_equal(heard[..., ~chosen], 0)
    assert np.abs(np.asarray(coarse)).max() > 0


def test_releases_that_end_with_an_mlp_have_no_second_gain(case):
    grid, lent, run = case
    apply, variables = run(ends_with_mlp=True, gain=0.0)
    params = variables["params"]
    assert "gamma" in params and "gamma2" not in params
    assert params["mlp"]["hidden"]["kernel"].shape == (4, 16)
    silent = params | {"mlp": jax.tree.map(jnp.zeros_like, params["mlp"])}
    full, _, _ = apply(variables, grid, lent)
    without, _, _ = apply({"params": silent}, grid, lent)
    assert np.abs(full - without).max() > 1e-3


def test_gains_start_where_the_release_says(case):
    grid, lent, _ = case
    for gain in (0.0, 1.0):
        module = TokenSelection(**FIELDS | {"gain": gain})
        params = jax.jit(module.init)(jax.random.key(1), grid, lent)["params"]
        for name in ("gamma", "gamma2"):
            np.testing.assert_array_equal(params[name], np.full(4, gain))


@pytest.mark.parametrize("top_k", list(TOP_K))
def test_every_way_to_choose_gives_gradients_to_scores(case, top_k):
    """With a key: the click token is heard through the choice alone, and moves it."""
    _, lent, _ = case

    def total(click):
        chosen = choose(
            lent.fine,
            lent.fine_positions,
            click,
            jax.random.key(0),
            top_k=top_k,
            one_of=8,
            threshold=None,
        )
        return jnp.square(chosen.tokens).sum()

    click = jnp.asarray(np.random.default_rng(5).normal(size=(1, 4)), jnp.float32)
    gradient = jax.jit(jax.grad(total))(click)
    assert np.isfinite(gradient).all() and np.abs(gradient).max() > 1e-4


def test_choosing_is_the_product_with_the_selection_matrix(case):
    _, lent, _ = case
    click = jnp.asarray(np.random.default_rng(5).normal(size=(1, 4)), jnp.float32)
    chosen = choose(
        lent.fine,
        lent.fine_positions,
        click,
        None,
        top_k="straight_through",
        one_of=2,
        threshold=0.6,
    )
    weights, index, kept = straight_through(
        chosen.scores[0], num_chosen=16, threshold=0.6
    )
    assert 0 < kept.sum() < 16
    want = weights @ lent.fine[0] + weights @ lent.fine_positions
    np.testing.assert_allclose(chosen.tokens[0], want, atol=1e-6)
    np.testing.assert_array_equal(chosen.index[0], index)
    np.testing.assert_array_equal(chosen.kept[0], kept)


def test_noise_needs_the_key_of_choices(case):
    """Evaluation has no key: every way to choose gives the hard choice."""
    grid, lent, run = case
    apply, variables = run()
    want = apply(variables, grid, lent)[0]
    for top_k in ("perturbed", "gumbel"):
        module = TokenSelection(**FIELDS | {"top_k": top_k})
        np.testing.assert_allclose(
            module.apply(variables, grid, lent)[0], want, atol=1e-5
        )
        noisy = [
            module.apply(variables, grid, lent, rngs={"choice": jax.random.key(seed)})[
                0
            ]
            for seed in range(2)
        ]
        assert np.abs(noisy[0] - noisy[1]).max() > 1e-5


def test_two_heads_look_at_the_coarse_tokens_in_every_release(case):
    _, _, run = case
    params = run(fuse_heads=4)[1]["params"]
    assert params["coarse_to_fine"]["query"]["kernel"].shape == (4, 2, 2)
    assert params["fused_to_grid"]["query"]["kernel"].shape == (4, 4, 1)


def test_parts_of_a_choice_are_left_out_but_one_token_is_chosen():
    for num_tokens, num_chosen in ((7, 1), (8, 2), (3, 1)):
        tokens = jnp.ones((1, num_tokens, 2))
        options = dict(top_k="straight_through", one_of=4, threshold=None)
        chosen = choose(tokens, tokens[0], tokens[:, 0], None, **options)
        assert chosen.index.shape == (1, num_chosen)


def test_examples_do_not_share_their_noise():
    tokens = jnp.asarray(np.random.default_rng(0).normal(size=(1, 16, 3)), jnp.float32)
    twice = jnp.concatenate([tokens, tokens])
    options = dict(top_k="perturbed", one_of=4, threshold=None)
    chosen = choose(twice, tokens[0], twice[:, 0], jax.random.key(0), **options)
    np.testing.assert_array_equal(*chosen.scores)
    assert np.abs(chosen.tokens[0] - chosen.tokens[1]).max() > 1e-3
