from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mst_jax.losses.total_loss import total_loss
from mst_jax.models.load import shapes_of_params
from mst_jax.models.mst import mst
from mst_jax.structs import Batch
from tests.helpers.count_parameters import (
    count_head,
    count_pyramid,
    count_selection,
    count_vit,
)
from tests.models.test_simpleclick import drawn_inputs, drawn_params

GOLDEN = Path(__file__).parents[1] / "golden" / "mst.npz"
SMALL = dict(
    size="nano", crop=64, depth=2, width=24, num_heads=2, pyramid=(8, 8, 8, 8), head=8
)
# The form of each release's token losses.
LOSSES = {
    "slim-448": ("slim-448", "focal"),
    "448": ("448", "focal"),
    "224": ("224", "squared"),
    "1024": ("1024", "squared"),
    "224-large": ("224-large", "squared"),
}


def target_of(inputs):
    """An object in the middle of each picture."""
    b, h, w, _ = inputs[0].shape
    target = jnp.zeros((b, h, w), bool).at[:, h // 4 : h // 2, w // 4 : -8].set(True)
    return Batch(inputs[0], target, jnp.ones_like(target), jnp.zeros_like(target))


def loss_and_gradient(release):
    """(loss, parts, outputs), gradient of a small model of a release on drawn numbers.

    Two selections where one hands on to the other, else one: compiling takes the time.
    """
    depth = 2 if release == "slim-448" else 1
    module = mst(release=release, every=1, **SMALL | {"depth": depth})
    inputs = drawn_inputs(64, 96)
    contrast, score = LOSSES[release]
    losses = dict(
        normalized_focal=1.0,
        token_contrast=dict(weight=1.0, form=contrast),
        token_score=dict(weight=1.0, form=score),
    )

    def loss_of(params):
        outputs = module.apply({"params": params}, *inputs)
        loss, parts = total_loss(outputs, target_of(inputs), losses=losses)
        return loss, (parts, outputs)

    run = jax.jit(jax.value_and_grad(loss_of, has_aux=True))
    return run(drawn_params(module))


# The others share all their code with these two; `make test-slow` runs them.
SLOW = [
    pytest.param(name, marks=pytest.mark.slow) for name in ("448", "1024", "224-large")
]


@pytest.mark.parametrize("release", ["slim-448", "224", *SLOW])
def test_golden_numbers_of_every_release(release):
    """Logits, losses and the gradient of each part of the model, on 64x96 pictures.

    The numbers are this project's own, written when the same code agreed with the
    published programs and weights: logits 1.5e-6, losses 4e-7, gradient norms 5e-6.
    """
    (loss, (parts, outputs)), gradient = loss_and_gradient(release)
    want = np.load(GOLDEN)
    scale = np.std(want[f"{release}/logits"])
    np.testing.assert_allclose(
        outputs.logits[:, ::4, ::4], want[f"{release}/logits"], atol=2e-4 * scale
    )
    got = [loss, *(parts[name] for name in sorted(parts))]
    np.testing.assert_allclose(got, want[f"{release}/losses"], rtol=2e-5, atol=1e-7)
    norms = [float(jnp.linalg.norm(leaf)) for leaf in jax.tree.leaves(gradient)]
    np.testing.assert_allclose(norms, want[f"{release}/norms"], rtol=2e-3, atol=1e-7)


SIZES = {
    "tiny": (192, 12, (32, 64, 128, 256)),
    "small": (384, 12, (64, 128, 256, 512)),
    "base": (768, 12, (128, 256, 512, 1024)),
    "large": (1024, 24, (192, 384, 768, 1536)),
    "huge": (1280, 32, (240, 480, 960, 1920)),
}
FORMS = {
    "slim-448": dict(expert=1, mlp=1, reduce=4, ends_with_mlp=False),
    "448": dict(expert=4, mlp=4, reduce=4, ends_with_mlp=True),
    "224": dict(expert=4, mlp=1, reduce=1, ends_with_mlp=True),
    "1024": dict(expert=4, mlp=1, reduce=4, ends_with_mlp=True),
    "224-large": dict(expert=4, mlp=1, reduce=4, ends_with_mlp=False),
}


@pytest.mark.parametrize(
    ("release", "size", "selections", "count"),
    [
        ("slim-448", "tiny", 3, 10_430_513),
        ("slim-448", "small", 3, 39_695_969),
        ("slim-448", "base", 3, 155_522_753),
        pytest.param("slim-448", "large", 3, 426_883_777, marks=pytest.mark.slow),
        pytest.param("slim-448", "huge", 4, 877_273_841, marks=pytest.mark.slow),
        ("448", "base", 3, 201_563_585),
        ("224", "base", 3, 162_621_377),
        ("1024", "base", 3, 190_939_841),
        pytest.param("224-large", "large", 3, 464_650_945, marks=pytest.mark.slow),
    ],
)
def test_every_release_and_size_has_the_parameters_it_should(
    release, size, selections, count
):
    w, depth, pyramid = SIZES[size]
    shapes = shapes_of_params(mst(release=release, size=size))
    found = sum(leaf.size for leaf in jax.tree.leaves(shapes))
    want = count_vit(w, depth, 16, 28) + count_pyramid(w, pyramid)
    want += count_head(pyramid, 256) + selections * count_selection(w, **FORMS[release])
    assert found == want
    assert found == count


@pytest.mark.parametrize(
    ("release", "changes", "places"),
    [
        ("slim-448", {}, (3, 7, 11)),
        ("448", {}, (3, 7, 11)),
        ("224", {}, (0, 4, 8)),
        ("1024", {}, (0, 4, 8)),
        ("224-large", {"size": "large"}, (0, 8, 16)),
        ("slim-448", {"size": "large"}, (7, 15, 23)),
        ("slim-448", {"size": "huge"}, (7, 15, 23, 31)),
        ("slim-448", {"size": "nano"}, (1, 3, 5)),
        ("224", {"every": 2}, (0, 2, 4, 6, 8, 10)),
        ("448", {"depth": 2}, (0, 1)),
    ],
)
def test_selections_stand_where_the_release_has_them(release, changes, places):
    assert mst(release=release, **changes).backbone.insert_at == places


def test_bfloat16_stays_near_float32():
    inputs = drawn_inputs(64, 64)
    exact = mst(**SMALL)
    # Smaller than drawn: at 0.3 a block's sums grow until one token decides a softmax.
    params = {"params": jax.tree.map(lambda leaf: leaf / 3, drawn_params(exact))}
    want = jax.jit(exact.apply)(params, *inputs).logits
    got = jax.jit(mst(**SMALL, dtype="bfloat16").apply)(params, *inputs).logits
    assert got.dtype == jnp.float32
    assert 0 < np.linalg.norm(got - want) / np.linalg.norm(want) < 2e-2


def test_a_batch_is_its_examples_one_by_one():
    module, inputs = mst(**SMALL), drawn_inputs(64, 96)
    params = {"params": drawn_params(module)}
    run = jax.jit(module.apply)
    both = run(params, *inputs)
    first = run(params, *jax.tree.map(lambda leaf: leaf[:1], inputs))
    np.testing.assert_allclose(both.logits[:1], first.logits, atol=2e-4)
    np.testing.assert_array_equal(
        both.choices[0].fine.index[:1], first.choices[0].fine.index
    )


def test_wrong_values_are_named():
    with pytest.raises(
        ValueError, match="no token selection 'slim' with top-k 'straig"
    ):
        mst(release="slim")
    with pytest.raises(ValueError, match="top-k 'best'; choose one of slim-448, 448"):
        mst(top_k="best")
    with pytest.raises(ValueError, match=r"model\.selection: .*'heads'"):
        mst(selection={"heads": 3})
    with pytest.raises(ValueError, match=r"6 heads .* do not divide the width 1024"):
        mst(release="448", size="large")
    for name, value in (("one_of", 0), ("reduce", -1), ("fuse_heads", 0)):
        with pytest.raises(
            ValueError, match=f"{name} of .*selection is {value}, expec"
        ):
            mst(selection={name: value})
    with pytest.raises(ValueError, match="patch is 7, expected an even number"):
        mst(patch=7)
    with pytest.raises(ValueError, match="one token selection for 13 blocks"):
        mst(every=13)
