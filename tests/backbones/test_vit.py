import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mst_jax.backbones.vit import ViT


def draw_variables(module, grid):
    """Random variables of a module; drawing them compiles nothing."""
    shapes = jax.eval_shape(module.init, jax.random.key(0), grid)
    rng = np.random.default_rng(0)
    return jax.tree.map(
        lambda leaf: jnp.asarray(0.5 * rng.normal(size=leaf.shape), leaf.dtype), shapes
    )


@pytest.fixture
def grid(rng):
    return jnp.asarray(rng.normal(size=(1, 4, 6, 8)), jnp.float32)


def test_window_blocks_attend_inside_their_window(grid):
    module = ViT(depth=2, num_heads=2, window_size=2, global_every=9)
    apply, variables = jax.jit(module.apply), draw_variables(module, grid)
    before, _ = apply(variables, grid)
    after, _ = apply(variables, grid.at[0, 0, 0].add(jnp.arange(8.0)))
    has_changed = np.abs(after - before).max(-1)[0] > 1e-5
    expected = np.zeros((4, 6), bool)
    expected[:2, :2] = True
    np.testing.assert_array_equal(has_changed, expected)


def test_last_block_of_a_group_attends_globally(grid):
    module = ViT(depth=2, num_heads=2, window_size=2, global_every=2)
    apply, variables = jax.jit(module.apply), draw_variables(module, grid)
    before, _ = apply(variables, grid)
    after, _ = apply(variables, grid.at[0, 0, 0].add(jnp.arange(8.0)))
    assert (np.abs(after - before).max(-1) > 1e-5).all()


def test_window_as_large_as_the_grid_is_global(grid):
    square_grid = grid[:, :, :4]
    window_vit = ViT(depth=2, num_heads=2, window_size=4, global_every=9)
    global_vit = ViT(depth=2, num_heads=2)
    variables = draw_variables(window_vit, square_grid)
    expected, _ = jax.jit(window_vit.apply)(variables, square_grid)
    actual, _ = jax.jit(global_vit.apply)(variables, square_grid)
    np.testing.assert_allclose(actual, expected, atol=1e-6)


def test_partial_windows_ignore_padding(grid):
    """The 2 columns left over give what they would give as a grid of their own."""
    module = ViT(depth=1, num_heads=2, window_size=4, global_every=9)
    variables = draw_variables(module, grid)
    whole, _ = jax.jit(module.apply)(variables, grid)
    global_vit = ViT(depth=1, num_heads=2, window_size=0)
    alone, _ = jax.jit(global_vit.apply)(variables, grid[:, :, 4:])
    np.testing.assert_allclose(whole[:, :, 4:], alone, atol=1e-6)


class AddMultiScale(nn.Module):
    """Add the multi-scale value to the grid, double it, and return its old value."""

    @nn.compact
    def __call__(self, grid, multi_scale):
        return grid + multi_scale, 2 * multi_scale, multi_scale


def test_insertions_precede_their_blocks_and_pass_multi_scale_on(grid):
    module = ViT(
        depth=3,
        num_heads=2,
        insert_at=(0, 2),
        insertions=(AddMultiScale(), AddMultiScale()),
    )
    shapes = jax.eval_shape(module.init, jax.random.key(0), grid, jnp.float32(1))
    zeros = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), shapes)
    output, selections = jax.jit(module.apply)(zeros, grid, jnp.float32(1))
    # All parameters zero: blocks change nothing, insertions add 1 and then 2.
    np.testing.assert_allclose(output, grid + 3, atol=1e-6)
    assert [float(selection) for selection in selections] == [1.0, 2.0]


def test_each_index_needs_an_insertion(grid):
    module = ViT(depth=1, num_heads=2, insert_at=(0, 0), insertions=(AddMultiScale(),))
    with pytest.raises(ValueError, match="zip"):
        module.init(jax.random.key(0), grid, jnp.float32(1))
