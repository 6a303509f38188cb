from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mst_jax.models.load import shapes_of_params
from mst_jax.models.simpleclick import simpleclick
from mst_jax.structs import Clicks
from tests.helpers.count_parameters import count_head, count_pyramid, count_vit

GOLDEN = Path(__file__).parents[1] / "golden" / "simpleclick.npz"
SMALL = dict(
    crop=64, window=32, width=16, depth=8, num_heads=2, pyramid=(8, 8, 8, 8), head=8
)


def drawn_params(module, *, seed=0):
    """Parameters none of which is 0 or 1, so that every one of them is heard."""
    rng = np.random.default_rng(seed)
    return jax.tree.map(
        lambda leaf: jnp.asarray(0.3 * rng.normal(size=leaf.shape), jnp.float32),
        shapes_of_params(module),
    )


def drawn_inputs(height, width, *, seed=1):
    rng = np.random.default_rng(seed)
    clicks = Clicks(
        yx=jnp.asarray(rng.uniform(0, min(height, width), (2, 5, 2)), jnp.float32),
        label=jnp.asarray([[1, 0, 1, -1, -1], [1, 1, 0, 0, -1]]),
    )
    image = jnp.asarray(rng.random((2, height, width, 3)), jnp.float32)
    return image, clicks, jnp.asarray(rng.random((2, height, width)), jnp.float32)


@pytest.mark.parametrize(
    ("size", "row", "count"),
    [
        ("tiny", (192, 12, 16, 28, (32, 64, 128, 256), 256), 6_765_425),
        ("small", (384, 12, 16, 28, (64, 128, 256, 512), 256), 25_066_721),
        ("base", (768, 12, 16, 28, (128, 256, 512, 1024), 256), 97_067_969),
        ("large", (1024, 24, 16, 28, (192, 384, 768, 1536), 256), 322_991_809),
        ("huge", (1280, 32, 14, 32, (240, 480, 960, 1920), 256), 660_713_201),
    ],
)
def test_every_size_has_the_parameters_it_should(size, row, count):
    shapes = shapes_of_params(simpleclick(size=size))
    found = sum(leaf.size for leaf in jax.tree.leaves(shapes))
    w, depth, patch, side, pyramid, head = row
    want = count_vit(w, depth, patch, side) + count_pyramid(w, pyramid)
    assert found == want + count_head(pyramid, head) == count


def test_golden_logits():
    """Windows, positions of another grid, pyramid and head on a picture not square.

    The numbers are this project's own, written when the same code agreed with the
    published program and weights to 2.2e-6 (patch 16) and 3.6e-6 (patch 14), relative.
    """
    module = simpleclick(size="tiny", **SMALL)
    params = {"params": drawn_params(module)}
    outputs = jax.jit(module.apply)(params, *drawn_inputs(96, 64))
    assert outputs.choices == () and outputs.queries == ()
    want = np.load(GOLDEN)["logits"]
    # Measured against what varies: the mean says little about the model.
    scale = np.linalg.norm(want - want.mean())
    assert np.linalg.norm(outputs.logits - want) / scale < 2e-4


def test_bfloat16_stays_near_float32():
    inputs = drawn_inputs(64, 64)
    exact = simpleclick(size="tiny", **SMALL)
    params = {"params": drawn_params(exact)}
    coarse = simpleclick(size="tiny", dtype="bfloat16", **SMALL)
    want = jax.jit(exact.apply)(params, *inputs).logits
    got = jax.jit(coarse.apply)(params, *inputs).logits
    assert got.dtype == jnp.float32
    assert np.linalg.norm(got - want) / np.linalg.norm(want) < 0.05
    assert np.abs(got - want).max() > 0


def test_wrong_values_are_named():
    with pytest.raises(ValueError, match="no model size 'giant'"):
        simpleclick(size="giant")
    with pytest.raises(ValueError, match="a model size has no widht"):
        simpleclick(widht=4)
    with pytest.raises(ValueError, match="dtype is 'f99', expected 'float32'"):
        simpleclick(dtype="f99")
    with pytest.raises(ValueError, match="window 100 are not whole 16-pixel patches"):
        simpleclick(window=100)
