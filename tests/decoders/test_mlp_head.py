import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mst_jax.decoders.mlp_head import MLPHead

DISKS = jnp.zeros((2, 32, 32, 2))


@pytest.fixture(scope="module")
def case():
    rng = np.random.default_rng(0)
    sizes = ((8, 8, 3), (4, 4, 5), (2, 2, 7), (1, 1, 9))
    maps = tuple(
        jnp.asarray(rng.normal(size=(2, *size)), jnp.float32) for size in sizes
    )
    module = MLPHead(width=6, dropout=0.5)
    variables = module.init(jax.random.key(0), maps, DISKS)
    return module, variables, maps


def resize_then_concatenate(params, maps):
    """The published order: every level to the finest size, concatenate, mix."""
    levels = []
    for number, x in enumerate(maps):
        level = params[f"level{number}"]
        x = jnp.maximum(jnp.einsum("bhwc,cd->bhwd", x, level["kernel"]), 0)
        levels.append(jax.image.resize(x, (2, 8, 8, 6), "bilinear"))
    kernel = jnp.concatenate([params[f"mix{n}"]["kernel"] for n in range(4)])
    mixed = jnp.einsum("bhwc,cd->bhwd", jnp.concatenate(levels, axis=-1), kernel)
    logits = jnp.einsum(
        "bhwc,cd->bhwd", jnp.maximum(mixed, 0), params["logits"]["kernel"]
    )
    return logits[..., 0]


def test_mixing_before_resizing_changes_nothing(case):
    module, variables, maps = case
    logits, queries = module.apply(variables, maps, DISKS)
    want = resize_then_concatenate(variables["params"], maps)
    np.testing.assert_allclose(logits, want, atol=1e-5)
    assert queries == ()


def test_training_drops_whole_channels(case):
    module, variables, maps = case
    key = {"dropout": jax.random.key(3)}
    _, seen = module.apply(
        variables, maps, DISKS, train=True, rngs=key, capture_intermediates=True
    )
    dropped = seen["intermediates"]["drop"]["__call__"][0]
    _, seen = module.apply(variables, maps, DISKS, capture_intermediates=True)
    kept = seen["intermediates"]["drop"]["__call__"][0]
    for before, after in zip(kept, dropped, strict=True):
        for channel in range(6):
            scale = 0.0 if (after[..., channel] == 0).all() else 2.0
            np.testing.assert_allclose(
                after[..., channel], scale * before[..., channel], rtol=1e-6
            )
    assert (dropped == 0).all(axis=(1, 2)).any()


def test_logits_are_float32_in_bfloat16(case):
    _, variables, maps = case
    module = MLPHead(width=6, dropout=0.5, dtype=jnp.bfloat16)
    logits, _ = module.apply(variables, maps, DISKS)
    exact = resize_then_concatenate(variables["params"], maps)
    assert logits.dtype == jnp.float32
    np.testing.assert_allclose(logits, exact, atol=0.05)
