import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mst_jax.backbones.vit import ViT
from mst_jax.layers.remat import REMAT_MODES
from mst_jax.models.build import build
from tests.helpers.random_models import random_inputs, random_params
from tests.helpers.tiny_models import TINY_MODELS


class ScaleAndAdd(nn.Module):
    """Scale the grid by a parameter and random numbers, add the multi-scale value."""

    @nn.compact
    def __call__(self, grid, multi_scale):
        scale = self.param("scale", nn.initializers.normal(), (grid.shape[-1],))
        if self.has_rng("token_selection"):
            scale += jax.random.normal(self.make_rng("token_selection"), scale.shape)
        grid = grid * (1 + scale)[None, None, None] + multi_scale
        return grid, 2 * multi_scale, grid.mean()


# Blocks w w g, twice; the insertions precede the second block of each group.
FIELDS = dict(depth=6, num_heads=2, window_size=2, global_every=3)
INSERTIONS = dict(insert_at=(1, 4), insertions=(ScaleAndAdd(), ScaleAndAdd()))


def value_and_gradient(module, variables, grid, rngs=None):
    def loss_of(variables, grid):
        output, selections = module.apply(variables, grid, jnp.float32(1), rngs=rngs)
        return jnp.square(output).mean() + sum(selections), selections

    loss_and_gradient = jax.jit(jax.value_and_grad(loss_of, (0, 1), has_aux=True))
    traced = loss_and_gradient.trace(variables, grid)
    return traced.lower().compile()(variables, grid), str(traced.jaxpr)


def assert_close(actual, expected):
    leaves = jax.tree.leaves(expected)
    assert leaves
    for leaf, expected_leaf in zip(jax.tree.leaves(actual), leaves, strict=True):
        # Gradients of key biases are 0 but for rounding errors of about 1e-7.
        atol = 1e-5 * max(float(np.abs(expected_leaf).max()), 5e-2)
        np.testing.assert_allclose(leaf, expected_leaf, rtol=1e-4, atol=atol)


@pytest.fixture
def grid(rng):
    return jnp.asarray(rng.normal(size=(1, 4, 6, 8)), jnp.float32)


@pytest.mark.parametrize(
    ("insertions", "num_compiled", "remat"),
    [
        (INSERTIONS, 3, "none"),
        *(pytest.param({}, 2, mode, marks=pytest.mark.slow) for mode in REMAT_MODES),
    ],
)
def test_loops_give_equal_values_and_gradients(insertions, num_compiled, remat, grid):
    unrolled = ViT(**FIELDS, **insertions)
    looped = ViT(**FIELDS, **insertions, scan=True, remat=remat)
    variables, looped_variables = jax.jit(
        lambda key: [
            module.init(key, grid, jnp.float32(1)) for module in (unrolled, looped)
        ]
    )(jax.random.key(0))
    jax.tree.map(np.testing.assert_array_equal, looped_variables, variables)
    expected, unrolled_program = value_and_gradient(unrolled, variables, grid)
    actual, program = value_and_gradient(looped, variables, grid)
    assert_close(actual, expected)
    # Equal neighbors are compiled once, and at most a third is computed again.
    products, all_products = (
        text.count("dot_general") for text in (program, unrolled_program)
    )
    assert products <= 4 / 3 * num_compiled / 6 * all_products


@pytest.mark.slow
def test_layers_that_do_not_repeat_are_one_group(grid):
    fields = dict(depth=5, num_heads=2, window_size=2, global_every=3)
    variables = jax.jit(ViT(**fields).init)(jax.random.key(0), grid)
    results = [
        value_and_gradient(ViT(**fields, scan=scan), variables, grid)[0]
        for scan in (False, True)
    ]
    assert_close(*results)


def test_insertions_in_a_loop_draw_different_numbers(grid):
    module = ViT(**FIELDS, **INSERTIONS, scan=True)
    shapes = jax.eval_shape(module.init, jax.random.key(0), grid, jnp.float32(1))
    zero_variables = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), shapes)
    rngs = {"token_selection": jax.random.key(1)}
    apply = jax.jit(module.apply)
    _, (first, second) = apply(zero_variables, grid, 0.0 * grid, rngs=rngs)
    _, (other, _) = apply(
        zero_variables, grid, 0.0 * grid, rngs={"token_selection": jax.random.key(2)}
    )
    assert len({float(first), float(second), float(other)}) == 3


def test_kernels_are_stacked_in_the_compute_dtype(grid):
    module = ViT(**FIELDS, scan=True, dtype=jnp.bfloat16)
    variables = jax.eval_shape(module.init, jax.random.key(0), grid)
    program = str(jax.make_jaxpr(module.apply)(variables, grid))
    # The outer loop takes 2 groups of 2 window blocks and of 1 global block.
    for num_blocks in (1, 2):
        assert f"bf16[2,{num_blocks},8,32]" in program
        assert f"f32[2,{num_blocks},8,32]" not in program.replace("bf16", "")
        assert f"f32[2,{num_blocks},8]" in program


@pytest.mark.slow
def test_models_with_token_selection_are_equal_in_loops():
    options = TINY_MODELS["mst"] | dict(depth=4, insert_every=2)
    module = build("mst", **options)
    image, clicks, prev_mask = random_inputs(64, 64)
    params = jax.tree.map(lambda leaf: 0.3 * leaf, random_params(module))

    def value_and_gradient(scan):
        module = build("mst", **options, scan=scan)

        def loss_of(params):
            outputs = module.apply({"params": params}, image, clicks, prev_mask)
            return jnp.square(outputs.logits).mean(), outputs

        return jax.jit(jax.value_and_grad(loss_of, has_aux=True))(params)

    assert_close(value_and_gradient(True), value_and_gradient(False))
