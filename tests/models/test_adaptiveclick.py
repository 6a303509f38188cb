from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mst_jax.losses.total_loss import total_loss
from mst_jax.models.adaptiveclick import adaptiveclick
from mst_jax.models.load import shapes_of_params
from tests.helpers.count_parameters import (
    count_pixel_decoder,
    count_pyramid,
    count_queries,
    count_vit,
)
from tests.models.test_mst import target_of
from tests.models.test_simpleclick import drawn_inputs, drawn_params

GOLDEN = Path(__file__).parents[1] / "golden" / "adaptiveclick.npz"
SMALL = dict(
    size="nano",
    crop=64,
    depth=1,
    width=16,
    num_heads=2,
    pyramid=(8, 8, 8, 8),
    head=16,
    window=0,
    pixels=dict(num_layers=1, num_heads=2, num_points=2, num_groups=4, hidden=16),
    queries=dict(num_queries=5, num_layers=3, num_heads=2, hidden=16),
)
LOSSES = dict(query_class=0.6, query_adaptive_focal=2.0, query_dice=1.5)


def norms_near_one(module):
    """Drawn numbers; norms come last here, and with gains near 0 they silence all."""
    return jax.tree_util.tree_map_with_path(
        lambda path, leaf: leaf + 1 if path[-1].key == "scale" else leaf,
        drawn_params(module),
    )


def loss_and_gradient(**changes):
    """(loss, parts, outputs), gradient of a small model on drawn numbers."""
    module, inputs = adaptiveclick(**SMALL | changes), drawn_inputs(64, 96)

    def loss_of(params):
        outputs = module.apply({"params": params}, *inputs)
        loss, parts = total_loss(outputs, target_of(inputs), losses=LOSSES)
        return loss, (parts, outputs)

    return jax.jit(jax.value_and_grad(loss_of, has_aux=True))(norms_near_one(module))


def test_golden_numbers():
    """Logits, losses and the gradient of each part of the model, on 64x96 pictures.

    The numbers are this project's own, written when the same code agreed with the
    published program and weights: logits 6.6e-6, loss parts 1.1e-6, gradients 5.9e-5.
    """
    (loss, (parts, outputs)), gradient = loss_and_gradient()
    want = np.load(GOLDEN)
    scale = np.std(want["logits"])
    np.testing.assert_allclose(
        outputs.logits[:, ::2, ::2], want["logits"], atol=2e-4 * scale
    )
    got = [loss, *(parts[name] for name in sorted(parts))]
    np.testing.assert_allclose(got, want["losses"], rtol=2e-5)
    norms = [float(jnp.linalg.norm(leaf)) for leaf in jax.tree.leaves(gradient)]
    np.testing.assert_allclose(norms, want["norms"], rtol=5e-3, atol=1e-6)


def test_the_decoder_is_told_where_the_clicks_are():
    inputs, params = drawn_inputs(64, 96), norms_near_one(adaptiveclick(**SMALL))
    queries = SMALL["queries"] | {"sees_clicks": False}
    aware, blind = (
        jax.jit(adaptiveclick(**SMALL | changes).apply)({"params": params}, *inputs)
        for changes in ({}, {"queries": queries})
    )
    assert np.abs(aware.logits - blind.logits).max() > 1e-4
    # The heads before the first layer have not looked at anything yet.
    np.testing.assert_allclose(
        aware.queries.mask_logits[:, 0], blind.queries.mask_logits[:, 0], atol=1e-5
    )


@pytest.mark.parametrize(
    ("size", "row", "count"),
    [
        ("tiny", (192, 12, 16, 28, (64, 128, 256, 512)), 24_991_746),
        ("base", (768, 12, 16, 28, (256, 512, 1024, 2048)), 121_114_242),
        pytest.param(
            "large",
            (1024, 24, 16, 28, (384, 768, 1536, 3072)),
            355_997_314,
            marks=pytest.mark.slow,
        ),
        pytest.param(
            "huge",
            (1280, 32, 14, 32, (512, 1024, 2048, 4096)),
            706_771_586,
            marks=pytest.mark.slow,
        ),
    ],
)
def test_every_size_has_the_parameters_it_should(size, row, count):
    shapes = shapes_of_params(adaptiveclick(size=size))
    found = sum(leaf.size for leaf in jax.tree.leaves(shapes))
    w, depth, patch, side, pyramid = row
    want = count_vit(w, depth, patch, side) + count_pyramid(w, pyramid)
    want += count_pixel_decoder(pyramid, 256) + count_queries(256)
    assert found == want
    assert found == count


def test_bfloat16_stays_near_float32():
    inputs = drawn_inputs(64, 64)
    exact = adaptiveclick(**SMALL)
    params = {"params": norms_near_one(exact)}
    want = jax.jit(exact.apply)(params, *inputs).logits
    got = jax.jit(adaptiveclick(**SMALL, dtype="bfloat16").apply)(
        params, *inputs
    ).logits
    assert got.dtype == jnp.float32
    assert 0 < np.linalg.norm(got - want) / np.linalg.norm(want) < 0.1


def test_wrong_values_are_named():
    with pytest.raises(ValueError, match="no model size 'giant'"):
        adaptiveclick(size="giant")
    with pytest.raises(ValueError, match=r"config\.model\.queries: .*'num_querys'"):
        adaptiveclick(queries={"num_querys": 3})
    with pytest.raises(ValueError, match=r"config\.model\.pixels: .*'layers'"):
        adaptiveclick(pixels={"layers": 3})
    with pytest.raises(ValueError, match=r"32 groups .* do not divide the width 48"):
        adaptiveclick(head=48)
    with pytest.raises(ValueError, match=r"0 groups .* do not divide the width 256"):
        adaptiveclick(pixels={"num_groups": 0})
