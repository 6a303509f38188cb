import jax
import jax.numpy as jnp
import numpy as np

from mst_jax.backbones.embed import ClickEmbed
from mst_jax.structs import Clicks

NO_CLICKS = Clicks.empty(1, num_slots=1)


def test_the_mean_picture_without_hints_is_the_bias():
    mean = jnp.asarray([0.485, 0.456, 0.406])[None, None, None]
    image = jnp.broadcast_to(mean, (1, 4, 4, 3))
    module = ClickEmbed(width=6, patch=4, positions=(1, 1))
    variables = module.init(jax.random.key(0), image, jnp.zeros_like(image), NO_CLICKS)
    params = variables["params"]
    params["image"]["bias"] = jnp.arange(6.0)
    params["positions"] *= 0
    params["hints"]["bias"] = jnp.full(6, 10.0)
    tokens, lent = module.apply(variables, image, jnp.zeros_like(image), NO_CLICKS)
    np.testing.assert_allclose(tokens[0, 0, 0], 10 + np.arange(6.0), atol=1e-6)
    assert lent == ()


def test_one_deviation_is_one_unit_and_hints_are_added():
    image = jnp.asarray([0.485 + 0.229, 0.456, 0.406])[None, None, None]
    hints = jnp.asarray([0.0, 1.0, 0.0])[None, None, None]
    module = ClickEmbed(width=3, patch=1, positions=(1, 1))
    variables = module.init(jax.random.key(0), image, hints, NO_CLICKS)
    params = variables["params"]
    params["image"]["kernel"] = jnp.eye(3)[None, None]
    params["positions"] *= 0
    params["hints"]["kernel"] = 5 * jnp.eye(3)[None, None]
    tokens, _ = module.apply(variables, image, hints, NO_CLICKS)
    np.testing.assert_allclose(tokens[0, 0, 0], [1, 5, 0], atol=1e-6)


def embed(learned, height, width, *, patch, lends=False):
    """Tokens of an empty picture: nothing but positions is heard."""
    module = ClickEmbed(width=1, patch=patch, positions=learned.shape, lends=lends)
    blank = jnp.zeros((1, height, width, 3))
    variables = jax.jit(module.init)(jax.random.key(0), blank, blank, NO_CLICKS)
    zero = jax.tree.map(jnp.zeros_like, variables)
    zero["params"]["positions"] = learned[..., None]
    return jax.jit(module.apply)(zero, blank, blank, NO_CLICKS)


def test_positions_of_another_grid_are_resized():
    learned = jnp.array([[0.0, 1.0], [2.0, 3.0]])
    same, _ = embed(learned, 4, 4, patch=2)
    np.testing.assert_array_equal(same[0, ..., 0], learned)
    larger, _ = embed(learned, 12, 12, patch=2)
    # Symmetric about the middle, and growing to the right and downwards.
    np.testing.assert_allclose(
        larger + larger[:, ::-1, ::-1], 3 * jnp.ones((1, 6, 6, 1)), atol=1e-5
    )
    assert (np.diff(larger[0, :, :, 0], axis=1)[:, 1:-1] > 0).all()


def test_lent_tokens_have_smoothed_positions():
    """One cell of 1 in a 4x4 grid: the coarse grid's cells are means with wide taps."""
    learned = jnp.zeros((4, 4)).at[0, 0].set(1.0)
    grid, lent = embed(learned, 8, 16, patch=2, lends=True)
    assert grid.shape == (1, 4, 8, 1)
    np.testing.assert_array_equal(lent.fine[0], lent.fine_positions)
    np.testing.assert_array_equal(lent.coarse[0], lent.coarse_positions)
    for places, shape in (
        (lent.fine_positions, (8, 16)),
        (lent.coarse_positions, (2, 4)),
    ):
        want = jax.image.resize(
            learned[..., None], (*shape, 1), "cubic", antialias=True
        )
        np.testing.assert_allclose(places, want, atol=1e-6)


def test_lent_tokens_see_the_same_picture_with_other_patches(rng):
    """Where the picture is smooth, all three scales give nearly the same token."""
    ramp = jnp.linspace(0, 1, 32)[:, None, None] * jnp.ones((1, 32, 3))
    module = ClickEmbed(width=5, patch=8, positions=(4, 4), lends=True)
    hints = jnp.ones((1, 32, 32, 3))
    variables = jax.jit(module.init)(jax.random.key(1), ramp[None], hints, NO_CLICKS)
    params = variables["params"]
    params["positions"] *= 0
    params["image"]["bias"] = jnp.arange(5.0)
    params["hints"] = jax.tree.map(jnp.zeros_like, params["hints"])
    grid, lent = module.apply(variables, ramp[None], hints, NO_CLICKS)
    coarse = np.asarray(grid[0]).reshape(2, 2, 2, 2, 5).mean((1, 3))
    np.testing.assert_allclose(lent.coarse[0], coarse, atol=0.05)
    fine = np.asarray(lent.fine[0]).reshape(4, 2, 4, 2, 5).mean((1, 3))
    np.testing.assert_allclose(fine, grid[0], atol=0.05)
    params["hints"]["bias"] = jnp.full(5, 100.0)
    changed, still = module.apply(variables, ramp[None], hints, NO_CLICKS)
    np.testing.assert_allclose(changed, grid + 100, atol=1e-4)
    np.testing.assert_array_equal(still.fine, lent.fine)
    np.testing.assert_array_equal(still.coarse, lent.coarse)
