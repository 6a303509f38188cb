"""AdaptiveClick: golden values, parameter counts, click awareness, errors."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mst_jax.losses.total_loss import total_loss
from mst_jax.models.adaptiveclick import adaptiveclick
from mst_jax.models.load import parameter_shapes
from tests.helpers.count_parameters import (
    count_mask_decoder,
    count_pixel_decoder,
    count_pyramid,
    count_vit,
)
from tests.helpers.random_models import (
    ADAPTIVECLICK_LOSSES,
    SMALL_ADAPTIVECLICK,
    centered_target_batch,
    random_inputs,
    random_params_near_unit_norms,
)

GOLDEN = Path(__file__).parents[1] / "golden" / "adaptiveclick.npz"


def loss_and_gradient(**changes):
    """Return (loss, (terms, outputs)) and the gradient of a small model."""
    module = adaptiveclick(**SMALL_ADAPTIVECLICK | changes)
    inputs = random_inputs(64, 96)

    def loss_of(params):
        outputs = module.apply({"params": params}, *inputs)
        loss, terms = total_loss(
            outputs, centered_target_batch(inputs[0]), losses=ADAPTIVECLICK_LOSSES
        )
        return loss, (terms, outputs)

    return jax.jit(jax.value_and_grad(loss_of, has_aux=True))(
        random_params_near_unit_norms(module)
    )


def test_model_matches_the_golden_file():
    """Logits, losses and the gradient of each part of the model, on 64x96 images.

    The numbers are this project's own, written when the same code agreed with the
    published program and weights: logits 6.6e-6, loss parts 1.1e-6, gradients 5.9e-5.
    """
    (loss, (terms, outputs)), gradient = loss_and_gradient()
    expected = np.load(GOLDEN)
    spread = np.std(expected["logits"])
    np.testing.assert_allclose(
        outputs.logits[:, ::2, ::2], expected["logits"], atol=2e-4 * spread
    )
    losses = [loss, *(terms[name] for name in sorted(terms))]
    np.testing.assert_allclose(losses, expected["losses"], rtol=2e-5)
    norms = [float(jnp.linalg.norm(leaf)) for leaf in jax.tree.leaves(gradient)]
    np.testing.assert_allclose(norms, expected["norms"], rtol=5e-3, atol=1e-6)


def apply_small_model(**changes):
    """Return the outputs of a small model, with parameters that no change affects."""
    params = random_params_near_unit_norms(adaptiveclick(**SMALL_ADAPTIVECLICK))
    module = adaptiveclick(**SMALL_ADAPTIVECLICK | changes)
    return jax.jit(module.apply)({"params": params}, *random_inputs(64, 96))


@pytest.fixture(scope="module")
def small_outputs():
    return apply_small_model()


def test_mask_decoder_attends_to_the_clicks(small_outputs):
    mask_decoder = SMALL_ADAPTIVECLICK["mask_decoder"] | {"attend_to_clicks": False}
    aware_outputs = small_outputs
    blind_outputs = apply_small_model(mask_decoder=mask_decoder)
    assert np.abs(aware_outputs.logits - blind_outputs.logits).max() > 1e-4
    # The heads before the first layer have attended to nothing yet.
    np.testing.assert_allclose(
        aware_outputs.queries.mask_logits[:, 0],
        blind_outputs.queries.mask_logits[:, 0],
        atol=1e-5,
    )


@pytest.mark.parametrize(
    ("size", "size_values", "expected_count"),
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
def test_every_size_has_the_published_number_of_parameters(
    size, size_values, expected_count
):
    shapes = parameter_shapes(adaptiveclick(size=size))
    num_params = sum(leaf.size for leaf in jax.tree.leaves(shapes))
    width, depth, patch_size, grid_side, pyramid_widths = size_values
    expected = count_vit(width, depth, patch_size, grid_side)
    expected += count_pyramid(width, pyramid_widths)
    expected += count_pixel_decoder(pyramid_widths, 256) + count_mask_decoder(256)
    assert num_params == expected
    assert num_params == expected_count


def test_bfloat16_is_close_to_float32(small_outputs):
    expected = small_outputs.logits
    result = apply_small_model(dtype="bfloat16").logits
    assert result.dtype == jnp.float32
    assert 0 < np.linalg.norm(result - expected) / np.linalg.norm(expected) < 0.1


def test_wrong_values_are_rejected():
    with pytest.raises(ValueError, match="no model size 'giant'"):
        adaptiveclick(size="giant")
    with pytest.raises(
        ValueError, match=r"model\.mask_decoder has unknown keys num_querys; it takes"
    ):
        adaptiveclick(mask_decoder={"num_querys": 3})
    with pytest.raises(
        ValueError, match=r"model\.pixel_decoder has unknown keys layers; it takes"
    ):
        adaptiveclick(pixel_decoder={"layers": 3})
    with pytest.raises(ValueError, match=r"32 groups .* do not divide the width 48"):
        adaptiveclick(decoder_width=48)
    with pytest.raises(ValueError, match=r"0 groups .* do not divide the width 256"):
        adaptiveclick(pixel_decoder={"num_groups": 0})
