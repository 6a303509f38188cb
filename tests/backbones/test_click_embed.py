import jax
import jax.numpy as jnp
import numpy as np
from einops import rearrange

from mst_jax.backbones.click_embed import ClickEmbed
from mst_jax.geometry.resize import resize_bicubic_antialiased
from mst_jax.structs import Clicks

NO_CLICKS = Clicks.empty(1, num_slots=1)


def test_mean_color_without_clicks_gives_the_bias():
    mean_color = jnp.asarray([0.485, 0.456, 0.406])[None, None, None]
    image = jnp.broadcast_to(mean_color, (1, 4, 4, 3))
    no_maps = jnp.zeros_like(image)
    module = ClickEmbed(width=6, patch_size=4, position_grid=(1, 1))
    variables = module.init(jax.random.key(0), image, no_maps, NO_CLICKS)
    params = variables["params"]
    params["image"]["bias"] = jnp.arange(6.0)
    params["positions"] *= 0
    params["hints"]["bias"] = jnp.full(6, 10.0)
    tokens, multi_scale = module.apply(variables, image, no_maps, NO_CLICKS)
    np.testing.assert_allclose(tokens[0, 0, 0], 10 + np.arange(6.0), atol=1e-6)
    assert multi_scale is None


def test_one_deviation_is_one_unit_and_click_maps_are_added():
    image = jnp.asarray([0.485 + 0.229, 0.456, 0.406])[None, None, None]
    click_maps = jnp.asarray([0.0, 1.0, 0.0])[None, None, None]
    module = ClickEmbed(width=3, patch_size=1, position_grid=(1, 1))
    variables = module.init(jax.random.key(0), image, click_maps, NO_CLICKS)
    params = variables["params"]
    params["image"]["kernel"] = jnp.eye(3)[None, None]
    params["positions"] *= 0
    params["hints"]["kernel"] = 5 * jnp.eye(3)[None, None]
    tokens, _ = module.apply(variables, image, click_maps, NO_CLICKS)
    np.testing.assert_allclose(tokens[0, 0, 0], [1, 5, 0], atol=1e-6)


def embed_positions(
    learned_positions, height, width, *, patch_size, emits_multi_scale=False
):
    """Tokens of an image where everything except the positions is 0."""
    module = ClickEmbed(
        width=1,
        patch_size=patch_size,
        position_grid=learned_positions.shape,
        emits_multi_scale=emits_multi_scale,
    )
    blank = jnp.zeros((1, height, width, 3))
    shapes = jax.eval_shape(module.init, jax.random.key(0), blank, blank, NO_CLICKS)
    variables = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape), shapes)
    variables["params"]["positions"] = learned_positions[..., None]
    return jax.jit(module.apply)(variables, blank, blank, NO_CLICKS)


def test_positions_are_resized_to_the_grid():
    learned_positions = jnp.array([[0.0, 1.0], [2.0, 3.0]])
    same_grid, _ = embed_positions(learned_positions, 4, 4, patch_size=2)
    np.testing.assert_array_equal(same_grid[0, ..., 0], learned_positions)
    larger_grid, _ = embed_positions(learned_positions, 12, 12, patch_size=2)
    # Symmetric about the middle, and increasing to the right and downwards.
    np.testing.assert_allclose(
        larger_grid + larger_grid[:, ::-1, ::-1], 3 * jnp.ones((1, 6, 6, 1)), atol=1e-5
    )
    assert (np.diff(larger_grid[0, :, :, 0], axis=1)[:, 1:-1] > 0).all()


def test_multi_scale_tokens_have_antialiased_positions():
    """One cell of 1 in a 4x4 grid: coarse cells are means with wide taps."""
    learned_positions = jnp.zeros((4, 4)).at[0, 0].set(1.0)
    grid, multi_scale = embed_positions(
        learned_positions, 8, 16, patch_size=2, emits_multi_scale=True
    )
    assert grid.shape == (1, 4, 8, 1)
    np.testing.assert_array_equal(multi_scale.fine[0], multi_scale.fine_positions)
    np.testing.assert_array_equal(multi_scale.coarse[0], multi_scale.coarse_positions)
    for positions, grid_shape in (
        (multi_scale.fine_positions, (8, 16)),
        (multi_scale.coarse_positions, (2, 4)),
    ):
        expected = jax.image.resize(
            learned_positions[..., None], (*grid_shape, 1), "cubic", antialias=True
        )
        np.testing.assert_allclose(positions, expected.reshape(-1, 1), atol=1e-6)


def without_clicks(image):
    """Arguments of the embedding for an image nobody clicked on."""
    return image, jnp.zeros_like(image), NO_CLICKS


def test_coarse_tokens_of_a_larger_image_equal_base_tokens(rng):
    """Patches made twice as large give the coarse tokens that the small ones gave."""
    image = jnp.asarray(rng.random((1, 16, 16, 3)), jnp.float32)
    patches = rearrange(image, "b (i y) (j x) c -> b i j y x c", y=4, x=4)
    larger_image = rearrange(
        resize_bicubic_antialiased(patches, 8, 8), "b i j y x c -> b (i y) (j x) c"
    )
    module = ClickEmbed(
        width=5, patch_size=4, position_grid=(4, 4), emits_multi_scale=True
    )
    variables = jax.jit(module.init)(jax.random.key(1), *without_clicks(image))
    params = variables["params"]
    params["positions"] *= 0
    params["image"]["bias"] = jnp.arange(5.0)
    apply = jax.jit(module.apply)
    base_tokens, _ = apply(variables, *without_clicks(image))
    # The mean color is subtracted before; it is a resized patch of itself.
    _, multi_scale = apply(variables, *without_clicks(larger_image))
    np.testing.assert_allclose(
        multi_scale.coarse, base_tokens.reshape(1, 16, 5), atol=1e-4
    )
    # Only the base grid sees the click maps.
    params["hints"]["bias"] = jnp.full(5, 100.0)
    grid, multi_scale = apply(variables, *without_clicks(image))
    np.testing.assert_allclose(grid, base_tokens + 100, atol=1e-4)
    assert np.abs(multi_scale.fine).max() < 50


def test_fine_tokens_are_row_by_row():
    """One white cell of the fine grid changes its own fine token alone."""
    image = jnp.zeros((1, 8, 8, 3)).at[0, 2:4, 6:8].set(1.0)
    module = ClickEmbed(
        width=1, patch_size=4, position_grid=(2, 2), emits_multi_scale=True
    )
    variables = jax.jit(module.init)(jax.random.key(1), image, image, NO_CLICKS)
    params = variables["params"]
    params["image"]["kernel"] = jnp.ones((4, 4, 3, 1))
    params["positions"] *= 0
    apply = jax.jit(module.apply)
    _, white_cell = apply(variables, image, image, NO_CLICKS)
    _, black_image = apply(variables, 0 * image, image, NO_CLICKS)
    difference = np.abs(white_cell.fine - black_image.fine).reshape(4, 4)
    expected = np.zeros((4, 4), bool)
    expected[1, 3] = True
    np.testing.assert_array_equal(difference > 1e-3, expected)
