import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mst_jax.decoders.mlp_head import MLPHead

NO_DISKS = jnp.zeros((2, 32, 32, 2))


@pytest.fixture(scope="module")
def head_case():
    """Head, variables, and four levels of different widths."""
    rng = np.random.default_rng(0)
    level_shapes = ((8, 8, 3), (4, 4, 5), (2, 2, 7), (1, 1, 9))
    levels = tuple(
        jnp.asarray(rng.normal(size=(2, *shape)), jnp.float32) for shape in level_shapes
    )
    module = MLPHead(width=6, dropout_rate=0.5)
    variables = jax.jit(module.init)(jax.random.key(0), levels, NO_DISKS)
    return module, variables, levels


@jax.jit
def resize_then_concatenate(params, levels):
    """The published order: every level to the finest size, concatenate, mix."""
    resized_levels = []
    for index, level in enumerate(levels):
        kernel = params[f"level{index}"]["kernel"]
        projected = jnp.maximum(jnp.einsum("bhwc,cd->bhwd", level, kernel), 0)
        resized_levels.append(jax.image.resize(projected, (2, 8, 8, 6), "bilinear"))
    concatenated = jnp.concatenate(resized_levels, axis=-1)
    mix_kernel = jnp.concatenate(
        [params[f"mix{index}"]["kernel"] for index in range(4)]
    )
    mixed = jnp.maximum(jnp.einsum("bhwc,cd->bhwd", concatenated, mix_kernel), 0)
    logits = jnp.einsum("bhwc,cd->bhwd", mixed, params["logits"]["kernel"])
    return logits[..., 0]


def test_mixing_before_resizing_gives_equal_logits(head_case):
    module, variables, levels = head_case
    logits, query_outputs = jax.jit(module.apply)(variables, levels, NO_DISKS)
    expected = resize_then_concatenate(variables["params"], levels)
    np.testing.assert_allclose(logits, expected, atol=1e-5)
    assert query_outputs is None


def features_after_dropout(head_case, **options):
    """Mixed channels [b h w c] after the dropout layer."""
    module, variables, levels = head_case
    _, state = module.apply(
        variables, levels, NO_DISKS, capture_intermediates=True, **options
    )
    return state["intermediates"]["drop"]["__call__"][0]


def test_training_drops_whole_channels(head_case):
    dropout_key = {"dropout": jax.random.key(3)}
    dropped = features_after_dropout(head_case, train=True, rngs=dropout_key)
    original = features_after_dropout(head_case)
    for before, after in zip(original, dropped, strict=True):
        for channel in range(6):
            scale = 0.0 if (after[..., channel] == 0).all() else 2.0
            np.testing.assert_allclose(
                after[..., channel], scale * before[..., channel], rtol=1e-6
            )
    assert (dropped == 0).all(axis=(1, 2)).any()


def test_logits_are_float32_in_bfloat16(head_case):
    _, variables, levels = head_case
    module = MLPHead(width=6, dropout_rate=0.5, dtype=jnp.bfloat16)
    logits, _ = jax.jit(module.apply)(variables, levels, NO_DISKS)
    expected = resize_then_concatenate(variables["params"], levels)
    assert logits.dtype == jnp.float32
    np.testing.assert_allclose(logits, expected, atol=0.05)
