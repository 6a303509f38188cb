"""SimpleClick: parameter counts, golden logits, bfloat16, errors."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mst_jax.models.load import parameter_shapes
from mst_jax.models.simpleclick import simpleclick
from tests.helpers.count_parameters import count_mlp_head, count_pyramid, count_vit
from tests.helpers.random_models import (
    SMALL_SIMPLECLICK,
    random_inputs,
    random_params,
)

GOLDEN = Path(__file__).parents[1] / "golden" / "simpleclick.npz"


@pytest.mark.parametrize(
    ("size", "size_values", "expected_count"),
    [
        ("tiny", (192, 12, 16, 28, (32, 64, 128, 256), 256), 6_765_425),
        ("small", (384, 12, 16, 28, (64, 128, 256, 512), 256), 25_066_721),
        ("base", (768, 12, 16, 28, (128, 256, 512, 1024), 256), 97_067_969),
        ("large", (1024, 24, 16, 28, (192, 384, 768, 1536), 256), 322_991_809),
        ("huge", (1280, 32, 14, 32, (240, 480, 960, 1920), 256), 660_713_201),
    ],
)
def test_every_size_has_the_published_number_of_parameters(
    size, size_values, expected_count
):
    shapes = parameter_shapes(simpleclick(size=size))
    num_params = sum(leaf.size for leaf in jax.tree.leaves(shapes))
    width, depth, patch_size, grid_side, pyramid_widths, head_width = size_values
    expected = count_vit(width, depth, patch_size, grid_side)
    expected += count_pyramid(width, pyramid_widths)
    expected += count_mlp_head(pyramid_widths, head_width)
    assert num_params == expected == expected_count


def test_logits_match_the_golden_file():
    """Windows, positions of another grid, pyramid and head on an image that is not square.

    The numbers are this project's own, written when the same code agreed with the
    published program and weights to 2.2e-6 (patch 16) and 3.6e-6 (patch 14), relative.
    """
    module = simpleclick(size="tiny", **SMALL_SIMPLECLICK)
    params = {"params": random_params(module)}
    outputs = jax.jit(module.apply)(params, *random_inputs(96, 64))
    assert outputs.selections == () and outputs.queries is None
    expected = np.load(GOLDEN)["logits"]
    # Relative to the variation: the mean of the logits depends little on the model.
    spread = np.linalg.norm(expected - expected.mean())
    assert np.linalg.norm(outputs.logits - expected) / spread < 2e-4


def test_bfloat16_is_close_to_float32():
    inputs = random_inputs(64, 64)
    float32_model = simpleclick(size="tiny", **SMALL_SIMPLECLICK)
    params = {"params": random_params(float32_model)}
    bfloat16_model = simpleclick(size="tiny", dtype="bfloat16", **SMALL_SIMPLECLICK)
    expected = jax.jit(float32_model.apply)(params, *inputs).logits
    result = jax.jit(bfloat16_model.apply)(params, *inputs).logits
    assert result.dtype == jnp.float32
    assert np.linalg.norm(result - expected) / np.linalg.norm(expected) < 0.05
    assert np.abs(result - expected).max() > 0


def test_wrong_values_are_rejected():
    with pytest.raises(ValueError, match="no model size 'giant'"):
        simpleclick(size="giant")
    with pytest.raises(ValueError, match="a model size has no widht"):
        simpleclick(widht=4)
    with pytest.raises(ValueError, match="dtype is 'f99', expected 'float32'"):
        simpleclick(dtype="f99")
    with pytest.raises(ValueError, match="window 100 are not whole 16-pixel patches"):
        simpleclick(window=100)
