import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mst_jax.backbones.vit import ViT


def run(module, grid):
    (out, choices), variables = jax.jit(module.init_with_output)(
        jax.random.key(0), grid
    )
    return out, choices, variables


@pytest.fixture
def grid(rng):
    return jnp.asarray(rng.normal(size=(1, 4, 6, 8)), jnp.float32)


def test_window_blocks_see_their_window_only(grid):
    module = ViT(depth=2, num_heads=2, window=2, global_every=9)
    out, _, variables = run(module, grid)
    moved = grid.at[0, 0, 0].add(jnp.arange(8.0))
    changed, _ = module.apply(variables, moved)
    difference = np.abs(changed - out).max(-1)[0] > 1e-5
    want = np.zeros((4, 6), bool)
    want[:2, :2] = True
    np.testing.assert_array_equal(difference, want)


def test_the_last_block_of_a_group_sees_everything(grid):
    module = ViT(depth=2, num_heads=2, window=2, global_every=2)
    out, _, variables = run(module, grid)
    changed, _ = module.apply(variables, grid.at[0, 0, 0].add(jnp.arange(8.0)))
    assert (np.abs(changed - out).max(-1) > 1e-5).all()


def test_one_window_as_large_as_the_grid_is_global(grid):
    square = grid[:, :, :4]
    local = ViT(depth=2, num_heads=2, window=4, global_every=9)
    everywhere = ViT(depth=2, num_heads=2)
    out, _, variables = run(local, square)
    np.testing.assert_allclose(everywhere.apply(variables, square)[0], out, atol=1e-6)


def test_windows_that_are_not_full_do_not_see_what_was_filled_in(grid):
    """A 3-wide rest of a row gives what it would give as a grid of its own."""
    module = ViT(depth=1, num_heads=2, window=4, global_every=9)
    out, _, variables = run(module, grid)
    rest = ViT(depth=1, num_heads=2, window=0)
    alone, _ = rest.apply(variables, grid[:, :, 4:])
    np.testing.assert_allclose(out[:, :, 4:], alone, atol=1e-6)


class Mark(nn.Module):
    """Adds what is lent to every token, doubles what is lent, chooses its old value."""

    @nn.compact
    def __call__(self, grid, lent):
        return grid + lent, 2 * lent, lent


def test_insertions_come_before_their_blocks_and_hand_on_what_is_lent(grid):
    module = ViT(
        depth=3,
        num_heads=2,
        insert_at=(0, 2),
        insertions=(Mark(), Mark()),
    )
    variables = jax.jit(module.init)(jax.random.key(0), grid, jnp.float32(1))
    zero = jax.tree.map(jnp.zeros_like, variables)
    out, choices = module.apply(zero, grid, jnp.float32(1))
    # All parameters zero: blocks change nothing, insertions add 1 and then 2.
    np.testing.assert_allclose(out, grid + 3, atol=1e-6)
    assert [float(choice) for choice in choices] == [1.0, 2.0]


def test_one_insertion_for_each_number(grid):
    module = ViT(depth=1, num_heads=2, insert_at=(0, 0), insertions=(Mark(),))
    with pytest.raises(ValueError, match="zip"):
        module.init(jax.random.key(0), grid, jnp.float32(1))
