import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mst_jax.decoders.click_aware_decoder import ClickAwareMaskDecoder
from mst_jax.decoders.query_attention_mask import (
    downsample_click_disks,
    query_attention_mask,
)
from mst_jax.layers.position_embedding import sine_position_embedding

NUM_EXAMPLES, NUM_QUERIES, NUM_LAYERS, NUM_HEADS = 2, 3, 4, 2
WIDTH, NUM_FEATURES, MLP_HIDDEN = 8, 4, 6
LEVEL_SIZES = ((3, 2), (6, 4), (12, 8))
ONE_LAYER_PARAMS = (
    "query_content",
    "query_position",
    "level_vectors",
    "heads",
    "layer0",
)
DECODER = ClickAwareMaskDecoder(NUM_QUERIES, NUM_LAYERS, NUM_HEADS, MLP_HIDDEN)
ONE_LAYER_DECODER = ClickAwareMaskDecoder(NUM_QUERIES, 1, NUM_HEADS, MLP_HIDDEN)


@pytest.fixture(scope="module")
def decoder_case():
    """Variables, neck outputs, and disks; only the first example has a click."""
    rng = np.random.default_rng(0)

    def draw(*shape):
        return jnp.asarray(rng.normal(size=shape), jnp.float32)

    features = draw(NUM_EXAMPLES, 24, 16, NUM_FEATURES)
    levels = tuple(draw(NUM_EXAMPLES, *size, WIDTH) for size in LEVEL_SIZES)
    disks = jnp.zeros((NUM_EXAMPLES, 96, 64, 2)).at[0, 40:51, 20:31, 0].set(1.0)
    shapes = jax.eval_shape(DECODER.init, jax.random.key(0), (features, levels), disks)
    variables = jax.tree.map(lambda leaf: 0.5 * draw(*leaf.shape), shapes)
    return variables, (features, levels), disks


@pytest.fixture(scope="module")
def run_decoder(decoder_case):
    return jax.jit(DECODER.apply)


@functools.partial(jax.jit, static_argnums=3)
def attendable_cells(masks, class_logits, disks, size):
    """Cells [q n] of a level that each query of an example may attend to."""
    clicked_cells = downsample_click_disks(disks[None, ..., 0], *size)
    may_attend = query_attention_mask(masks[None], class_logits[None], clicked_cells)
    return may_attend.reshape(NUM_QUERIES, -1)


def slow_dense(params, x):
    return np.tensordot(x, params["kernel"], 1) + params["bias"]


def slow_norm(params, x):
    scale, bias = params["norm"]["scale"], params["norm"]["bias"]
    x = x - x.mean(-1, keepdims=True)
    return x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-5) * scale + bias


def slow_attention(params, inputs_q, inputs_k, inputs_v, may_attend):
    """Attention by its definition, query by query and head by head."""
    keys, values = (
        slow_dense(params["key"], inputs_k),
        slow_dense(params["value"], inputs_v),
    )
    outputs = []
    for tokens, allowed in zip(inputs_q, may_attend, strict=True):
        query, output = slow_dense(params["query"], tokens), 0.0
        for a in range(NUM_HEADS):
            logits = keys[allowed, a] @ query[a] / np.sqrt(WIDTH / NUM_HEADS)
            weights = np.exp(logits)
            attended = weights @ values[allowed, a] / weights.sum()
            output += attended @ params["out"]["kernel"][a]
        outputs.append(output + params["out"]["bias"])
    return np.array(outputs)


def slow_heads(params, queries, features):
    """Class logits and masks of the queries."""
    x = slow_norm(params["norm"], queries)
    class_logits = slow_dense(params["class"], x)
    x = np.maximum(slow_dense(params["mask0"], x), 0)
    x = np.maximum(slow_dense(params["mask1"], x), 0)
    mask_embeddings = slow_dense(params["mask2"], x)
    return class_logits, np.einsum("qd,hwd->qhw", mask_embeddings, features)


def slow_decoder(params, neck_outputs, disks):
    """The decoder by its definition for one example, in float64."""
    params, (features, levels) = jax.tree.map(
        lambda leaf: np.asarray(leaf, np.float64), (params, neck_outputs)
    )
    queries, positions = params["query_content"], params["query_position"]
    predictions = [slow_heads(params["heads"], queries, features)]
    for index in range(NUM_LAYERS):
        layer, level = params[f"layer{index}"], index % 3
        values = levels[level] + params["level_vectors"][level]
        keys = values + sine_position_embedding(*values.shape)
        keys, flat_values = keys.reshape(-1, WIDTH), values.reshape(-1, WIDTH)
        # 1. Masked cross-attention.
        class_logits, masks = map(np.float32, predictions[-1])
        may_attend = attendable_cells(masks, class_logits, disks, values.shape[:2])
        may_attend = np.asarray(may_attend)
        update = slow_attention(
            layer["cross"], queries + positions, keys, flat_values, may_attend
        )
        queries = slow_norm(layer["cross_norm"], queries + update)
        # 2. Self-attention.
        positioned = queries + positions
        all_queries = np.ones((NUM_QUERIES, NUM_QUERIES), bool)
        update = slow_attention(
            layer["self"], positioned, positioned, queries, all_queries
        )
        queries = slow_norm(layer["self_norm"], queries + update)
        # 3. MLP.
        hidden = np.maximum(slow_dense(layer["mlp"]["hidden"], queries), 0)
        update = slow_dense(layer["mlp"]["out"], hidden)
        queries = slow_norm(layer["mlp_norm"], queries + update)
        predictions.append(slow_heads(params["heads"], queries, features))
    class_logits, masks = predictions[-1]
    query_weights = 1 / (1 + np.exp(-class_logits[:, 1]))
    all_classes, all_masks = map(np.array, zip(*predictions, strict=True))
    return np.einsum("q,qhw->hw", query_weights, masks), all_classes, all_masks


def test_decoder_matches_slow_reference(decoder_case, run_decoder):
    variables, neck_outputs, disks = decoder_case
    logits, queries = run_decoder(variables, neck_outputs, disks)
    for b in range(NUM_EXAMPLES):
        example = jax.tree.map(lambda leaf, b=b: leaf[b], neck_outputs)
        merged, class_logits, masks = slow_decoder(
            variables["params"], example, disks[b]
        )
        np.testing.assert_allclose(queries.class_logits[b], class_logits, atol=1e-4)
        np.testing.assert_allclose(queries.mask_logits[b], masks, atol=1e-4)
        np.testing.assert_allclose(logits[b], merged, atol=1e-4)


def test_queries_attend_to_positive_clicks_only(decoder_case):
    variables, neck_outputs, disks = decoder_case
    # Queries that are sure to be clicked, and whose masks are empty.
    heads = variables["params"]["heads"]
    sure_class = {
        "kernel": 0 * heads["class"]["kernel"],
        "bias": jnp.array([-1.0, 1.0]),
    }
    empty_mask = {
        "kernel": 0 * heads["mask2"]["kernel"],
        "bias": jnp.array([-1.0, 0, 0, 0]),
    }
    heads = heads | {"class": sure_class, "mask2": empty_mask}
    variables = {"params": variables["params"] | {"heads": heads}}
    features, levels = jnp.abs(neck_outputs[0]) + 0.1, neck_outputs[1]
    # A change at a cell away from the click.
    changed_levels = tuple(level.at[:, 0, 0].add(5.0) for level in levels)

    @functools.partial(jax.jit, static_argnums=0)
    def queries_after_layer(decoder, levels, disks):
        _, state = decoder.apply(
            variables, (features, levels), disks, capture_intermediates=True
        )
        return state["intermediates"]["layer0"]["__call__"][0]

    before, after = (
        queries_after_layer(ONE_LAYER_DECODER, x, disks)
        for x in (levels, changed_levels)
    )
    np.testing.assert_array_equal(before[0], after[0])
    # Without a click, queries with an empty mask attend everywhere.
    assert np.abs(before[1] - after[1]).max() > 1e-2
    with_negative = queries_after_layer(
        ONE_LAYER_DECODER, levels, disks.at[..., 1].set(1.0)
    )
    np.testing.assert_array_equal(with_negative, before)
    mask_only = ClickAwareMaskDecoder(
        NUM_QUERIES, 1, NUM_HEADS, MLP_HIDDEN, attend_to_clicks=False
    )
    np.testing.assert_array_equal(
        queries_after_layer(mask_only, levels, disks),
        queries_after_layer(ONE_LAYER_DECODER, levels, 0 * disks),
    )
    difference = queries_after_layer(mask_only, levels, disks) - before
    assert np.abs(difference)[0].max() > 1e-2


def test_examples_are_independent(decoder_case, run_decoder):
    variables, neck_outputs, disks = decoder_case
    logits, queries = run_decoder(variables, neck_outputs, disks)
    second_example = jax.tree.map(lambda leaf: leaf[1:], (neck_outputs, disks))
    alone_logits, alone_queries = jax.jit(DECODER.apply)(variables, *second_example)
    np.testing.assert_allclose(alone_logits, logits[1:], atol=1e-5)
    np.testing.assert_allclose(
        alone_queries.mask_logits, queries.mask_logits[1:], atol=1e-5
    )


def test_vmap_over_batches_equals_batch(decoder_case, run_decoder):
    variables, neck_outputs, disks = decoder_case
    logits, _ = run_decoder(variables, neck_outputs, disks)
    batches_of_one = jax.tree.map(lambda leaf: leaf[:, None], (neck_outputs, disks))
    mapped_decoder = jax.jit(jax.vmap(DECODER.apply, in_axes=(None, 0, 0)))
    mapped_logits = mapped_decoder(variables, *batches_of_one)[0][:, 0]
    np.testing.assert_allclose(mapped_logits, logits, atol=1e-5)


def test_every_parameter_has_a_gradient(decoder_case):
    variables, neck_outputs, disks = decoder_case
    params = {name: variables["params"][name] for name in ONE_LAYER_PARAMS}

    @jax.jit
    @jax.grad
    def gradient_of(variables):
        logits, queries = ONE_LAYER_DECODER.apply(
            variables, neck_outputs, disks, train=True
        )
        return jnp.sin(logits).sum() + jnp.sin(queries.class_logits).sum()

    for path, leaf in jax.tree.leaves_with_path(gradient_of({"params": params})):
        name = jax.tree_util.keystr(path)
        assert jnp.isfinite(leaf).all(), name
        # A constant added to all keys changes no softmax.
        assert (jnp.abs(leaf).max() > 1e-6) or "['key']['bias']" in name, name


def test_bfloat16_outputs_are_float32(decoder_case, run_decoder):
    variables, neck_outputs, disks = decoder_case
    half_decoder = ClickAwareMaskDecoder(
        NUM_QUERIES, 1, NUM_HEADS, MLP_HIDDEN, dtype=jnp.bfloat16
    )
    rounded = jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), neck_outputs)
    outputs = jax.jit(half_decoder.apply)(variables, rounded, disks)
    assert {leaf.dtype for leaf in jax.tree.leaves(outputs)} == {jnp.dtype("float32")}
    # The predictions before the first layer depend on the features only.
    _, exact = run_decoder(variables, neck_outputs, disks)
    np.testing.assert_allclose(
        outputs[1].mask_logits[:, 0], exact.mask_logits[:, 0], atol=0.05
    )


def test_published_number_of_parameters():
    """By hand: queries, levels, nine layers, heads."""
    module = ClickAwareMaskDecoder()
    features = jax.ShapeDtypeStruct((1, 8, 8, 256), jnp.float32)
    levels = tuple(jax.ShapeDtypeStruct((1, n, n, 256), jnp.float32) for n in (1, 2, 4))
    disks = jax.ShapeDtypeStruct((1, 32, 32, 2), jnp.float32)
    shapes = jax.eval_shape(module.init, jax.random.key(0), (features, levels), disks)
    attention, norm = 4 * (256 * 256 + 256), 2 * 256
    layer = 2 * attention + 3 * norm + 2 * 256 * 2048 + 2048 + 256
    heads = norm + 2 * 256 + 2 + 3 * (256 * 256 + 256)
    expected = 2 * 10 * 256 + 3 * 256 + 9 * layer + heads
    assert sum(leaf.size for leaf in jax.tree.leaves(shapes)) == expected


@pytest.mark.slow
def test_layers_in_a_loop_give_equal_outputs_and_gradients(decoder_case):
    _, neck_outputs, disks = decoder_case
    sizes = NUM_QUERIES, 2 * len(LEVEL_SIZES), NUM_HEADS, MLP_HIDDEN
    rng = np.random.default_rng(1)
    shapes = jax.eval_shape(
        ClickAwareMaskDecoder(*sizes).init, jax.random.key(0), neck_outputs, disks
    )
    variables = jax.tree.map(
        lambda leaf: jnp.asarray(0.5 * rng.normal(size=leaf.shape), leaf.dtype), shapes
    )

    def value_and_gradient(**options):
        def loss_of(variables, neck_outputs):
            decoder = ClickAwareMaskDecoder(*sizes, **options)
            logits, queries = decoder.apply(variables, neck_outputs, disks)
            loss = jnp.square(logits).mean() + jnp.square(queries.mask_logits).mean()
            return loss, queries

        loss_and_gradient = jax.value_and_grad(loss_of, (0, 1), has_aux=True)
        traced = jax.jit(loss_and_gradient).trace(variables, neck_outputs)
        result = traced.lower().compile()(variables, neck_outputs)
        return result, str(traced.jaxpr).count("dot_general")

    expected, num_products = value_and_gradient()
    actual, num_loop_products = value_and_gradient(scan=True)
    assert num_loop_products < 0.9 * num_products
    for leaf, expected_leaf in zip(
        jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True
    ):
        atol = 1e-5 * max(float(np.abs(expected_leaf).max()), 1e-2)
        np.testing.assert_allclose(leaf, expected_leaf, rtol=1e-4, atol=atol)
