import jax
import jax.numpy as jnp
import numpy as np
from einops import rearrange

from mst_jax.backbones.embed import ClickEmbed
from mst_jax.geometry.resize import resize_bicubic_antialiased
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
        np.testing.assert_allclose(places, want.reshape(-1, 1), atol=1e-6)


def test_lent_tokens_see_the_same_picture_with_other_patches(rng):
    """Patches made twice as large give the coarse tokens that the small ones gave."""
    image = jnp.asarray(rng.random((1, 16, 16, 3)), jnp.float32)
    patches = rearrange(image, "b (i y) (j x) c -> b i j y x c", y=4, x=4)
    larger = resize_bicubic_antialiased(patches, 8, 8)
    larger = rearrange(larger, "b i j y x c -> b (i y) (j x) c")
    module = ClickEmbed(width=5, patch=4, positions=(4, 4), lends=True)

    def no_hints(image):
        return image, jnp.zeros_like(image), NO_CLICKS

    variables = jax.jit(module.init)(jax.random.key(1), *no_hints(image))
    params = variables["params"]
    params["positions"] *= 0
    params["image"]["bias"] = jnp.arange(5.0)
    apply = jax.jit(module.apply)
    small, _ = apply(variables, *no_hints(image))
    # The mean colour is taken off before; it is a resized patch of itself.
    _, lent = apply(variables, *no_hints(larger))
    np.testing.assert_allclose(lent.coarse, small.reshape(1, 16, 5), atol=1e-4)
    params["hints"]["bias"] = jnp.full(5, 100.0)
    grid, still = apply(variables, *no_hints(image))
    np.testing.assert_allclose(grid, small + 100, atol=1e-4)
    assert np.abs(still.fine).max() < 50


def test_fine_tokens_are_of_the_right_places():
    """One white cell of the fine grid is seen by its own fine token alone."""
    image = jnp.zeros((1, 8, 8, 3)).at[0, 2:4, 6:8].set(1.0)
    module = ClickEmbed(width=1, patch=4, positions=(2, 2), lends=True)
    variables = jax.jit(module.init)(jax.random.key(1), image, image, NO_CLICKS)
    params = variables["params"]
    params["image"]["kernel"] = jnp.ones((4, 4, 3, 1))
    params["positions"] *= 0
    _, lent = module.apply(variables, image, image, NO_CLICKS)
    _, black = module.apply(variables, 0 * image, image, NO_CLICKS)
    seen = np.abs(lent.fine - black.fine).reshape(4, 4) > 1e-3
    want = np.zeros((4, 4), bool)
    want[1, 3] = True
    np.testing.assert_array_equal(seen, want)
