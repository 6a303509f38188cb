import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mst_jax.layers.positions import sine_positions
from mst_jax.necks.pixel_decoder import DeformableLayer, PixelDecoder
from mst_jax.necks.simple_pyramid import SimplePyramid
from tests.helpers.slow_dataset import read_levels_slowly

WIDTHS = (4, 4, 6, 8)
SMALL = dict(width=8, num_layers=2, num_heads=2, num_points=2, hidden=6, num_groups=2)


def make(**changes):
    return PixelDecoder(pyramid=SimplePyramid(WIDTHS), **(SMALL | changes))


@pytest.fixture(scope="module")
def drawing():
    """A wide grid and random params."""
    rng = np.random.default_rng(0)
    grid = jnp.asarray(rng.normal(size=(2, 2, 4, 5)), jnp.float32)
    shapes = jax.eval_shape(make().init, jax.random.key(0), grid)["params"]
    params = jax.tree.map(
        lambda x: jnp.asarray(0.5 * rng.normal(size=x.shape), x.dtype), shapes
    )
    return grid, params


def dense(x, params):
    kernel, bias = params["kernel"], params["bias"]
    return np.tensordot(x, kernel, axes=1) + bias


def standard(x, axes, params):
    """Mean 0, variance 1 along the axes, then scaled and moved."""
    x = x - x.mean(axes, keepdims=True)
    x = x / np.sqrt(np.square(x).mean(axes, keepdims=True) + 1e-5)
    return x * params["norm"]["scale"] + params["norm"]["bias"]


def map_norm(x, params):
    """Two groups of channels, each with its own mean and variance."""
    groups = x.reshape(*x.shape[:-1], 2, -1)
    same = {"norm": {"scale": 1.0, "bias": 0.0}}
    x = standard(groups, (1, 2, 4), same).reshape(x.shape)
    return x * params["norm"]["scale"] + params["norm"]["bias"]


def slow_layer(cells, positions, sizes, params):
    """Attention and feed-forward, each added and then normed."""
    weights = params["attention"]
    query = cells + positions
    offsets = dense(query, weights["offsets"])
    logits = np.exp(dense(query, weights["weights"]))
    share = logits / logits.sum((-1, -2), keepdims=True)
    centres = [
        [((i + 0.5) / h, (j + 0.5) / w) for i in range(h) for j in range(w)]
        for h, w in sizes
    ]
    places = np.concatenate(centres)[:, None] * np.array(sizes) - 0.5
    places = places[None, :, None, :, None] + offsets
    values = dense(cells, weights["value"])
    read = read_levels_slowly(values, places, share, sizes=sizes)
    update = np.einsum("bnad,adc->bnc", read, weights["out"]["kernel"])
    update += weights["out"]["bias"]
    cells = standard(cells + update, -1, params["attention_norm"])
    hidden = np.maximum(dense(cells, params["mlp"]["hidden"]), 0)
    return standard(cells + dense(hidden, params["mlp"]["out"]), -1, params["mlp_norm"])


def slow_convolution(x, params):
    """3x3 with zeros outside, tap by tap."""
    _, h, w, _ = x.shape
    framed = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    taps = [
        framed[:, y : y + h, x : x + w] @ params["kernel"][y, x]
        for y in range(3)
        for x in range(3)
    ]
    return sum(taps) + params["bias"]


def twice_as_large(x, axis):
    """Pixel centres: a quarter of the neighbour, and the border repeated."""
    x = np.moveaxis(x, axis, 0)
    before = np.concatenate([x[:1], x[:-1]])
    after = np.concatenate([x[1:], x[-1:]])
    pairs = np.stack([0.75 * x + 0.25 * before, 0.75 * x + 0.25 * after], axis=1)
    return np.moveaxis(pairs.reshape(-1, *x.shape[1:]), 0, axis)


def slow_decoder(maps, params):
    """Mask features and levels, from the maps of the pyramid, in float64."""
    finest, *maps = maps

    def enter(x, name):
        return map_norm(dense(x, params[name]), params[f"{name}_norm"])

    levels = [enter(x, f"in{n}") for x, n in zip(maps[::-1], (32, 16, 8), strict=True)]
    sizes = [x.shape[1:3] for x in levels]
    cells = np.concatenate([x.reshape(len(x), -1, 8) for x in levels], axis=1)
    positions = np.concatenate(
        [
            sine_positions(*size, 8).reshape(-1, 8) + vector
            for size, vector in zip(sizes, params["level_vectors"], strict=True)
        ]
    )
    for number in range(2):
        cells = slow_layer(cells, positions, sizes, params[f"layer{number}"])
    parts = np.split(cells, np.cumsum([h * w for h, w in sizes])[:-1], axis=1)
    levels = [x.reshape(len(x), *size, 8) for x, size in zip(parts, sizes, strict=True)]
    coarse = twice_as_large(twice_as_large(levels[-1], 1), 2)
    x = np.maximum(enter(finest, "in4"), 0) + coarse
    x = map_norm(slow_convolution(x, params["smooth"]), params["smooth_norm"])
    return dense(np.maximum(x, 0), params["features"]), levels


def test_it_is_the_slow_form(drawing):
    grid, params = drawing
    features, levels = jax.jit(make().apply)({"params": params}, grid)
    maps = SimplePyramid(WIDTHS).apply({"params": params["pyramid"]}, grid)
    wide = jax.tree.map(lambda x: np.asarray(x, np.float64), (maps, params))
    want_features, want_levels = slow_decoder(*wide)
    assert [x.shape for x in levels] == [(2, 1, 2, 8), (2, 2, 4, 8), (2, 4, 8, 8)]
    for level, want in zip(levels, want_levels, strict=True):
        np.testing.assert_allclose(level, want, atol=2e-5)
    assert features.shape == (2, 8, 16, 8)
    np.testing.assert_allclose(features, want_features, atol=2e-5)


def test_a_small_variance_shows_the_eps_of_both_norms():
    layer, sizes = DeformableLayer(1, 1, 1), ((1, 1),)
    cells = jnp.array([[[-1.0, 1.0]]]) * 1e-5**0.5
    init = jax.eval_shape(
        lambda: layer.init(jax.random.key(0), cells, jnp.zeros((1, 2)), sizes=sizes)
    )
    params = jax.tree.map(lambda x: jnp.zeros(x.shape), init["params"])
    params["attention_norm"]["norm"]["scale"] = jnp.full(2, 0.01)
    params["mlp_norm"]["norm"]["scale"] = jnp.ones(2)
    out = layer.apply({"params": params}, cells, jnp.zeros((1, 2)), sizes=sizes)
    # Variance 1e-5 becomes 1/2, times 0.01 squared 5e-5, then 5 / (5 + 1).
    np.testing.assert_allclose(out, [[[-((5 / 6) ** 0.5), (5 / 6) ** 0.5]]], rtol=1e-4)


def test_every_array_is_trained(drawing):
    grid, params = drawing

    def total(params):
        features, levels = make().apply({"params": params}, grid)
        return sum(jnp.sum(jnp.sin(x)) for x in (features, *levels))

    gradient = jax.jit(jax.grad(total))(params)
    for path, x in jax.tree_util.tree_leaves_with_path(gradient):
        assert np.abs(x).max() > 1e-4, jax.tree_util.keystr(path)


def test_bfloat16_stays_near_and_keeps_its_kind(drawing):
    grid, params = drawing
    narrow = make(dtype=jnp.bfloat16)
    out = jax.jit(narrow.apply)({"params": params}, grid)
    exact = jax.jit(make().apply)({"params": params}, grid)
    for x, y in zip(jax.tree.leaves(out), jax.tree.leaves(exact), strict=True):
        assert x.dtype == jnp.bfloat16
        error = np.linalg.norm(x.astype(jnp.float32) - y) / np.linalg.norm(y)
        assert error < 0.05


def test_the_published_number_of_parameters():
    """Counted in the published layout for the base model, the pyramid left out."""
    module = PixelDecoder(pyramid=SimplePyramid((256, 512, 1024, 2048)))
    grid = jax.ShapeDtypeStruct((1, 4, 4, 768), jnp.float32)
    params = jax.eval_shape(module.init, jax.random.key(0), grid)["params"]
    del params["pyramid"]
    enter = (256 + 512 + 1024 + 2048) * 256 + 4 * 3 * 256
    attention = 256 * (192 + 96) + (192 + 96) + 2 * (256 * 256 + 256)
    layer = attention + 2 * 256 * 1024 + 1024 + 256 + 2 * 2 * 256
    smooth = 9 * 256 * 256 + 3 * 256
    want = enter + 3 * 256 + 4 * layer + smooth + 256 * 256 + 256
    assert sum(x.size for x in jax.tree.leaves(params)) == want
