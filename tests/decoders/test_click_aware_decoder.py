import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mst_jax.decoders.click_aware_decoder import ClickQueries
from mst_jax.decoders.query_attention_mask import clicked_cells, may_look
from mst_jax.layers.positions import sine_positions

B, Q, LAYERS, HEADS, C, D, HIDDEN = 2, 3, 4, 2, 8, 4, 6
SIZES = ((3, 2), (6, 4), (12, 8))
NAMES = ("query_content", "query_position", "level_vectors", "heads", "layer0")
MODULE = ClickQueries(Q, LAYERS, HEADS, HIDDEN)
SHORT = ClickQueries(Q, 1, HEADS, HIDDEN)


@pytest.fixture(scope="module")
def case():
    rng = np.random.default_rng(0)

    def draw(*shape):
        return jnp.asarray(rng.normal(size=shape), jnp.float32)

    maps = draw(B, 24, 16, D), tuple(draw(B, *size, C) for size in SIZES)
    disks = jnp.zeros((B, 96, 64, 2)).at[0, 40:51, 20:31, 0].set(1.0)
    shapes = jax.eval_shape(MODULE.init, jax.random.key(0), maps, disks)
    variables = jax.tree.map(lambda a: 0.5 * draw(*a.shape), shapes)
    return variables, maps, disks


@pytest.fixture(scope="module")
def run(case):
    return jax.jit(MODULE.apply)


def slow_decoder(params, maps, disks):
    """The definition for one example, query by query, in float64."""
    p = jax.tree.map(lambda a: np.asarray(a, np.float64), params)
    features, levels = jax.tree.map(lambda a: np.asarray(a, np.float64), maps)

    def dense(p, x):
        return np.tensordot(x, p["kernel"], 1) + p["bias"]

    def norm(p, x):
        p, x = p["norm"], x - x.mean(-1, keepdims=True)
        x = x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-5)
        return x * p["scale"] + p["bias"]

    def attend(p, asks, keys, values, seen):
        k, v = dense(p["key"], keys), dense(p["value"], values)
        out = []
        for x, sees in zip(asks, seen, strict=True):
            q, gathered = dense(p["query"], x), 0.0
            for a in range(HEADS):
                weight = np.exp(k[sees, a] @ q[a] / np.sqrt(C / HEADS))
                gathered += weight @ v[sees, a] / weight.sum() @ p["out"]["kernel"][a]
            out.append(gathered + p["out"]["bias"])
        return np.array(out)

    def ask_heads(x):
        x = norm(p["heads"]["norm"], x)
        classes = dense(p["heads"]["class"], x)
        x = np.maximum(dense(p["heads"]["mask0"], x), 0)
        x = np.maximum(dense(p["heads"]["mask1"], x), 0)
        return classes, np.einsum(
            "qd,hwd->qhw", dense(p["heads"]["mask2"], x), features
        )

    x, who = p["query_content"], p["query_position"]
    said = [ask_heads(x)]
    for number in range(LAYERS):
        layer, turn = p[f"layer{number}"], number % 3
        values = levels[turn] + p["level_vectors"][turn]
        keys = (values + sine_positions(*values.shape)).reshape(-1, C)
        classes, masks = (jnp.asarray(y, jnp.float32)[None] for y in said[-1])
        clicked = clicked_cells(disks[None, ..., 0], *values.shape[:2])
        seen = np.asarray(may_look(masks, classes, clicked)).reshape(Q, -1)
        values = values.reshape(-1, C)
        x = norm(
            layer["cross_norm"], x + attend(layer["cross"], x + who, keys, values, seen)
        )
        all_queries = np.ones((Q, Q), bool)
        update = attend(layer["self"], x + who, x + who, x, all_queries)
        x = norm(layer["self_norm"], x + update)
        hidden = np.maximum(dense(layer["mlp"]["hidden"], x), 0)
        x = norm(layer["mlp_norm"], x + dense(layer["mlp"]["out"], hidden))
        said.append(ask_heads(x))
    classes, masks = said[-1]
    weight = 1 / (1 + np.exp(-classes[:, 1]))
    return np.einsum("q,qhw->hw", weight, masks), *map(
        np.array, zip(*said, strict=True)
    )


def test_the_decoder_is_its_definition(case, run):
    variables, maps, disks = case
    logits, queries = run(variables, maps, disks)
    for b in range(B):
        of_one = jax.tree.map(lambda a, b=b: a[b], maps)
        merged, classes, masks = slow_decoder(variables["params"], of_one, disks[b])
        np.testing.assert_allclose(queries.class_logits[b], classes, atol=1e-4)
        np.testing.assert_allclose(queries.mask_logits[b], masks, atol=1e-4)
        np.testing.assert_allclose(logits[b], merged, atol=1e-4)


def test_positive_clicks_are_seen_and_negative_ones_are_not(case):
    variables, maps, disks = case
    # Queries that are sure to be clicked, and whose masks are empty.
    heads = variables["params"]["heads"]
    sure = {"kernel": 0 * heads["class"]["kernel"], "bias": jnp.array([-1.0, 1.0])}
    empty = {"kernel": 0 * heads["mask2"]["kernel"], "bias": jnp.array([-1.0, 0, 0, 0])}
    heads = heads | {"class": sure, "mask2": empty}
    variables = {"params": variables["params"] | {"heads": heads}}
    maps = jnp.abs(maps[0]) + 0.1, maps[1]
    far = maps[0], tuple(x.at[:, 0, 0].add(5.0) for x in maps[1])  # away from the click

    def content(module, maps, disks):
        _, seen = module.apply(variables, maps, disks, capture_intermediates=True)
        return seen["intermediates"]["layer0"]["__call__"][0]

    clicked = [content(SHORT, x, disks) for x in (maps, far)]
    np.testing.assert_array_equal(clicked[0][0], clicked[1][0])
    assert np.abs(clicked[0][1] - clicked[1][1]).max() > 1e-2  # no click: all is seen
    negative = content(SHORT, maps, disks.at[..., 1].set(1.0))
    np.testing.assert_array_equal(negative, clicked[0])
    blind = ClickQueries(Q, 1, HEADS, HIDDEN, sees_clicks=False)
    np.testing.assert_array_equal(
        content(blind, maps, disks), content(SHORT, maps, 0 * disks)
    )
    assert np.abs(content(blind, maps, disks) - clicked[0])[0].max() > 1e-2


def test_examples_do_not_see_each_other(case, run):
    variables, maps, disks = case
    logits, queries = run(variables, maps, disks)
    alone = jax.tree.map(lambda a: a[1:], (maps, disks))
    got, said = jax.jit(MODULE.apply)(variables, *alone)
    np.testing.assert_allclose(got, logits[1:], atol=1e-5)
    np.testing.assert_allclose(said.mask_logits, queries.mask_logits[1:], atol=1e-5)


def test_vmap_over_batches_changes_nothing(case, run):
    variables, maps, disks = case
    logits, _ = run(variables, maps, disks)
    one_each = jax.tree.map(lambda a: a[:, None], (maps, disks))
    mapped = jax.jit(jax.vmap(MODULE.apply, in_axes=(None, 0, 0)))
    np.testing.assert_allclose(mapped(variables, *one_each)[0][:, 0], logits, atol=1e-5)


def test_every_parameter_learns(case):
    variables, maps, disks = case
    variables = {"params": {k: v for k, v in variables["params"].items() if k in NAMES}}

    @jax.jit
    @jax.grad
    def gradient(variables):
        logits, queries = SHORT.apply(variables, maps, disks, train=True)
        return jnp.sin(logits).sum() + jnp.sin(queries.class_logits).sum()

    for path, array in jax.tree.leaves_with_path(gradient(variables)):
        name = jax.tree_util.keystr(path)
        assert jnp.isfinite(array).all(), name
        # What all keys have in common moves no softmax.
        assert (jnp.abs(array).max() > 1e-6) or "['key']['bias']" in name, name


def test_bfloat16_keeps_float32_where_it_matters(case, run):
    variables, maps, disks = case
    half = ClickQueries(Q, 1, HEADS, HIDDEN, dtype=jnp.bfloat16)
    low = jax.tree.map(lambda a: a.astype(jnp.bfloat16), maps)
    logits, queries = jax.jit(half.apply)(variables, low, disks)
    assert {x.dtype for x in jax.tree.leaves((logits, queries))} == {
        jnp.dtype("float32")
    }
    # The heads before the first layer depend on the features only.
    _, exact = run(variables, maps, disks)
    np.testing.assert_allclose(
        queries.mask_logits[:, 0], exact.mask_logits[:, 0], atol=0.05
    )


def test_the_published_size():
    """By hand: queries, levels, nine layers, heads."""
    module = ClickQueries()
    maps = jax.ShapeDtypeStruct((1, 8, 8, 256), jnp.float32)
    levels = tuple(jax.ShapeDtypeStruct((1, n, n, 256), jnp.float32) for n in (1, 2, 4))
    disks = jax.ShapeDtypeStruct((1, 32, 32, 2), jnp.float32)
    shapes = jax.eval_shape(module.init, jax.random.key(0), (maps, levels), disks)
    attention, norm = 4 * (256 * 256 + 256), 2 * 256
    layer = 2 * attention + 3 * norm + 2 * 256 * 2048 + 2048 + 256
    heads = norm + 2 * 256 + 2 + 3 * (256 * 256 + 256)
    want = 2 * 10 * 256 + 3 * 256 + 9 * layer + heads
    assert sum(x.size for x in jax.tree.leaves(shapes)) == want
