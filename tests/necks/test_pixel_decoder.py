import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mst_jax.layers.position_embedding import sine_position_embedding
from mst_jax.necks.pixel_decoder import DeformableEncoderLayer, PixelDecoder
from mst_jax.necks.simple_pyramid import SimplePyramid
from tests.helpers.deformable_reference import sample_levels_slowly

PYRAMID_WIDTHS = (4, 4, 6, 8)
SMALL_OPTIONS = dict(
    width=8, num_layers=2, num_heads=2, num_points=2, mlp_hidden=6, num_groups=2
)


def small_decoder(**changes):
    return PixelDecoder(
        pyramid=SimplePyramid(PYRAMID_WIDTHS), **(SMALL_OPTIONS | changes)
    )


@pytest.fixture(scope="module")
def decoder_case():
    """A wide grid and random parameters."""
    rng = np.random.default_rng(0)
    grid = jnp.asarray(rng.normal(size=(2, 2, 4, 5)), jnp.float32)
    shapes = jax.eval_shape(small_decoder().init, jax.random.key(0), grid)["params"]
    params = jax.tree.map(
        lambda leaf: jnp.asarray(0.5 * rng.normal(size=leaf.shape), leaf.dtype), shapes
    )
    return grid, params


def slow_dense(x, params):
    kernel, bias = params["kernel"], params["bias"]
    return np.tensordot(x, kernel, axes=1) + bias


def slow_norm(x, axes, params):
    """Mean 0, variance 1 along the axes, then scaled and shifted."""
    x = x - x.mean(axes, keepdims=True)
    x = x / np.sqrt(np.square(x).mean(axes, keepdims=True) + 1e-5)
    return x * params["norm"]["scale"] + params["norm"]["bias"]


def slow_group_norm(x, params):
    """Two groups of channels, each with its own mean and variance."""
    groups = x.reshape(*x.shape[:-1], 2, -1)
    identity = {"norm": {"scale": 1.0, "bias": 0.0}}
    x = slow_norm(groups, (1, 2, 4), identity).reshape(x.shape)
    return x * params["norm"]["scale"] + params["norm"]["bias"]


def slow_encoder_layer(cells, positions, level_sizes, params):
    """Attention and MLP, each added and then normalized."""
    attention_params = params["attention"]
    queries = cells + positions
    offsets = slow_dense(queries, attention_params["offsets"])
    exponentials = np.exp(slow_dense(queries, attention_params["weights"]))
    attention_weights = exponentials / exponentials.sum((-1, -2), keepdims=True)
    level_centers = [
        [((i + 0.5) / h, (j + 0.5) / w) for i in range(h) for j in range(w)]
        for h, w in level_sizes
    ]
    reference_cells = np.concatenate(level_centers)[:, None] * np.array(level_sizes)
    sampling_points = (reference_cells - 0.5)[None, :, None, :, None] + offsets
    values = slow_dense(cells, attention_params["value"])
    sampled = sample_levels_slowly(
        values, sampling_points, attention_weights, level_sizes=level_sizes
    )
    update = np.einsum("bnad,adc->bnc", sampled, attention_params["out"]["kernel"])
    update += attention_params["out"]["bias"]
    cells = slow_norm(cells + update, -1, params["attention_norm"])
    hidden = np.maximum(slow_dense(cells, params["mlp"]["hidden"]), 0)
    update = slow_dense(hidden, params["mlp"]["out"])
    return slow_norm(cells + update, -1, params["mlp_norm"])


def slow_convolution(x, params):
    """3x3 convolution with zeros outside, tap by tap."""
    _, h, w, _ = x.shape
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    taps = [
        padded[:, y : y + h, x : x + w] @ params["kernel"][y, x]
        for y in range(3)
        for x in range(3)
    ]
    return sum(taps) + params["bias"]


def slow_upsample(x, axis):
    """Bilinear, pixel centers: a quarter of the neighbor, and the border repeated."""
    x = np.moveaxis(x, axis, 0)
    before = np.concatenate([x[:1], x[:-1]])
    after = np.concatenate([x[1:], x[-1:]])
    pairs = np.stack([0.75 * x + 0.25 * before, 0.75 * x + 0.25 * after], axis=1)
    return np.moveaxis(pairs.reshape(-1, *x.shape[1:]), 0, axis)


def slow_decoder(maps, params):
    """Mask features and levels, from the maps of the pyramid, in float64."""
    finest_map, *coarser_maps = maps

    def project(level, name):
        return slow_group_norm(slow_dense(level, params[name]), params[f"{name}_norm"])

    levels = [
        project(level, f"in{stride}")
        for level, stride in zip(coarser_maps[::-1], (32, 16, 8), strict=True)
    ]
    level_sizes = [level.shape[1:3] for level in levels]
    cells = np.concatenate(
        [level.reshape(len(level), -1, 8) for level in levels], axis=1
    )
    positions = np.concatenate(
        [
            np.asarray(sine_position_embedding(*size, 8)).reshape(-1, 8) + level_vector
            for size, level_vector in zip(
                level_sizes, params["level_vectors"], strict=True
            )
        ]
    )
    for index in range(2):
        cells = slow_encoder_layer(
            cells, positions, level_sizes, params[f"layer{index}"]
        )
    boundaries = np.cumsum([h * w for h, w in level_sizes])[:-1]
    levels = [
        level_cells.reshape(len(level_cells), *size, 8)
        for level_cells, size in zip(
            np.split(cells, boundaries, axis=1), level_sizes, strict=True
        )
    ]
    upsampled = slow_upsample(slow_upsample(levels[-1], 1), 2)
    features = np.maximum(project(finest_map, "in4"), 0) + upsampled
    features = slow_convolution(features, params["smooth"])
    features = np.maximum(slow_group_norm(features, params["smooth_norm"]), 0)
    return slow_dense(features, params["features"]), levels


def test_decoder_matches_slow_reference(decoder_case):
    grid, params = decoder_case
    features, levels = jax.jit(small_decoder().apply)({"params": params}, grid)
    pyramid = SimplePyramid(PYRAMID_WIDTHS)
    maps = jax.jit(pyramid.apply)({"params": params["pyramid"]}, grid)
    maps, params = jax.tree.map(lambda x: np.asarray(x, np.float64), (maps, params))
    expected_features, expected_levels = slow_decoder(maps, params)
    assert [level.shape for level in levels] == [
        (2, 1, 2, 8),
        (2, 2, 4, 8),
        (2, 4, 8, 8),
    ]
    for level, expected in zip(levels, expected_levels, strict=True):
        np.testing.assert_allclose(level, expected, atol=2e-5)
    assert features.shape == (2, 8, 16, 8)
    np.testing.assert_allclose(features, expected_features, atol=2e-5)


def test_small_variance_reveals_eps_of_both_norms():
    layer, level_sizes = DeformableEncoderLayer(1, 1, 1), ((1, 1),)
    cells = jnp.array([[[-1.0, 1.0]]]) * 1e-5**0.5
    shapes = jax.eval_shape(
        lambda: layer.init(
            jax.random.key(0), cells, jnp.zeros((1, 2)), level_sizes=level_sizes
        )
    )
    params = jax.tree.map(
        lambda leaf: np.zeros(leaf.shape, np.float32), shapes["params"]
    )
    params["attention_norm"]["norm"]["scale"][:] = 0.01
    params["mlp_norm"]["norm"]["scale"][:] = 1.0
    apply = jax.jit(layer.apply, static_argnames="level_sizes")
    updated = apply(
        {"params": params}, cells, jnp.zeros((1, 2)), level_sizes=level_sizes
    )
    # Variance 1e-5 becomes 1/2, times 0.01 squared 5e-5, then 5 / (5 + 1).
    expected = [[[-((5 / 6) ** 0.5), (5 / 6) ** 0.5]]]
    np.testing.assert_allclose(updated, expected, rtol=1e-4)


def test_every_parameter_has_a_gradient(decoder_case):
    grid, params = decoder_case

    def total(params):
        features, levels = small_decoder().apply({"params": params}, grid)
        return sum(jnp.sum(jnp.sin(x)) for x in (features, *levels))

    gradient = jax.jit(jax.grad(total))(params)
    for path, leaf in jax.tree_util.tree_leaves_with_path(gradient):
        assert np.abs(leaf).max() > 1e-4, jax.tree_util.keystr(path)


def test_bfloat16_is_close_and_keeps_its_dtype(decoder_case):
    grid, params = decoder_case
    half_decoder = small_decoder(dtype=jnp.bfloat16)
    rounded = jax.jit(half_decoder.apply)({"params": params}, grid)
    exact = jax.jit(small_decoder().apply)({"params": params}, grid)
    for x, y in zip(jax.tree.leaves(rounded), jax.tree.leaves(exact), strict=True):
        assert x.dtype == jnp.bfloat16
        error = np.linalg.norm(x.astype(jnp.float32) - y) / np.linalg.norm(y)
        assert error < 0.05


def test_published_number_of_parameters():
    """Counted in the published layout for the base model, without the pyramid."""
    module = PixelDecoder(pyramid=SimplePyramid((256, 512, 1024, 2048)))
    grid = jax.ShapeDtypeStruct((1, 4, 4, 768), jnp.float32)
    params = jax.eval_shape(module.init, jax.random.key(0), grid)["params"]
    del params["pyramid"]
    projections = (256 + 512 + 1024 + 2048) * 256 + 4 * 3 * 256
    attention = 256 * (192 + 96) + (192 + 96) + 2 * (256 * 256 + 256)
    layer = attention + 2 * 256 * 1024 + 1024 + 256 + 2 * 2 * 256
    smooth = 9 * 256 * 256 + 3 * 256
    expected = projections + 3 * 256 + 4 * layer + smooth + 256 * 256 + 256
    assert sum(leaf.size for leaf in jax.tree.leaves(params)) == expected


def num_gathers(program):
    """Number of gathers in a program and its inner programs; bodies of loops once."""

    def is_program(value):
        return hasattr(value, "eqns")

    return sum(
        (equation.primitive.name == "gather")
        + sum(
            map(
                num_gathers,
                filter(
                    is_program,
                    jax.tree.leaves(list(equation.params.values()), is_leaf=is_program),
                ),
            )
        )
        for equation in program.eqns
    )


def test_layers_in_a_loop_give_equal_outputs_and_gradients(decoder_case):
    grid, params = decoder_case

    def value_and_gradient(module):
        def loss_of(params, grid):
            features, levels = module.apply({"params": params}, grid)
            return jnp.square(features).mean() + jnp.square(levels[0]).mean()

        traced = jax.jit(jax.value_and_grad(loss_of, (0, 1))).trace(params, grid)
        return traced.lower().compile()(params, grid), num_gathers(traced.jaxpr)

    expected, num_unrolled = value_and_gradient(small_decoder())
    actual, num_looped = value_and_gradient(small_decoder(scan=True))
    # The sampled values are stored: a layer samples no more often than without loop.
    assert num_looped == num_unrolled / SMALL_OPTIONS["num_layers"]
    for leaf, expected_leaf in zip(
        jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True
    ):
        atol = 1e-5 * max(float(np.abs(expected_leaf).max()), 1e-2)
        np.testing.assert_allclose(leaf, expected_leaf, rtol=1e-4, atol=atol)
