import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mst_jax.losses.total_loss import total_loss
from mst_jax.models.load import shapes_of_params
from mst_jax.models.mst_adaptive import mst_adaptive
from tests.helpers.count_parameters import (
    count_pixel_decoder,
    count_pyramid,
    count_queries,
    count_selection,
    count_vit,
)
from tests.models.test_adaptiveclick import LOSSES, SMALL, norms_near_one
from tests.models.test_mst import target_of
from tests.models.test_simpleclick import drawn_inputs

BOTH = {name: value for name, value in SMALL.items() if name != "window"}
BOTH |= dict(depth=2, every=1)


@pytest.mark.slow
def test_both_papers_parts_learn_in_one_model():
    """One loss of each paper's part; its gradient reaches all of that part."""
    module, inputs = mst_adaptive(**BOTH), drawn_inputs(64, 96)
    params, batch = norms_near_one(module), target_of(inputs)

    def gradient_of(losses):
        def loss_of(params):
            outputs = module.apply({"params": params}, *inputs)
            assert len(outputs.choices) == 2
            assert outputs.queries.class_logits.shape == (2, 4, 5, 2)
            return total_loss(outputs, batch, losses=losses)[0]

        gradient = jax.jit(jax.grad(loss_of))(params)
        return jax.tree.map(lambda leaf: float(jnp.abs(leaf).max()), gradient)

    masks = gradient_of(LOSSES)
    assert all(np.isfinite(leaf) for leaf in jax.tree.leaves(masks))
    # Through the mask alone the tokens of both selections are heard.
    for number in range(2):
        selection = masks["backbone"][f"insertions_{number}"]
        assert selection["fused_to_grid"]["out"]["kernel"] > 0
        assert selection["score"]["fine"]["out"]["kernel"] > 0
    assert masks["decoder"]["query_content"] > 0
    assert masks["neck"]["layer0"]["mlp"]["hidden"]["kernel"] > 0
    tokens = gradient_of(dict(token_contrast=1.0, token_score=1.0))
    assert tokens["backbone"]["insertions_1"]["score"]["fine"]["out"]["kernel"] > 0
    assert tokens["decoder"]["query_content"] == 0


@pytest.mark.parametrize(
    ("size", "row", "count"),
    [
        ("tiny", (192, 12, (64, 128, 256, 512)), 28_656_834),
        ("base", (768, 12, (256, 512, 1024, 2048)), 179_569_026),
    ],
)
def test_every_size_has_the_parameters_it_should(size, row, count):
    shapes = shapes_of_params(mst_adaptive(size=size))
    found = sum(leaf.size for leaf in jax.tree.leaves(shapes))
    w, depth, pyramid = row
    want = count_vit(w, depth, 16, 28) + count_pyramid(w, pyramid)
    want += 3 * count_selection(w, expert=1, mlp=1, reduce=4, ends_with_mlp=False)
    want += count_pixel_decoder(pyramid, 256) + count_queries(256)
    assert found == want
    assert found == count


def test_the_selections_are_those_asked_for():
    numbers = dict(every=4, selection=dict(one_of=3), dtype="bfloat16")
    backbone = mst_adaptive(release="224", top_k="gumbel", **numbers).backbone
    assert backbone.insert_at == (0, 4, 8)
    for selection in backbone.insertions:
        assert (selection.top_k, selection.one_of, selection.reduce) == ("gumbel", 3, 1)
        assert selection.dtype == jnp.bfloat16
    assert mst_adaptive(every=6).backbone.insert_at == (5, 11)


def test_wrong_values_are_named():
    with pytest.raises(ValueError, match="no token selection 'slim'"):
        mst_adaptive(release="slim")
    with pytest.raises(ValueError, match=r"32 groups .* do not divide the width 48"):
        mst_adaptive(head=48)
