"""MST-Adaptive: gradients, parameter counts, options, errors."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mst_jax.losses.total_loss import total_loss
from mst_jax.models.load import parameter_shapes
from mst_jax.models.mst_adaptive import mst_adaptive
from tests.helpers.count_parameters import (
    count_mask_decoder,
    count_pixel_decoder,
    count_pyramid,
    count_token_selection,
    count_vit,
)
from tests.helpers.random_models import (
    ADAPTIVECLICK_LOSSES,
    SMALL_ADAPTIVECLICK,
    centered_target_batch,
    random_inputs,
    random_params_near_unit_norms,
)

SMALL_MST_ADAPTIVE = {
    name: value for name, value in SMALL_ADAPTIVECLICK.items() if name != "window"
} | dict(depth=2, insert_every=1)


@pytest.mark.slow
def test_parts_of_both_papers_get_gradients():
    """The losses of each paper have gradients in all parts of that paper."""
    module, inputs = mst_adaptive(**SMALL_MST_ADAPTIVE), random_inputs(64, 96)
    params, batch = (
        random_params_near_unit_norms(module),
        centered_target_batch(inputs[0]),
    )

    def gradient_of(losses):
        def loss_of(params):
            outputs = module.apply({"params": params}, *inputs)
            assert len(outputs.selections) == 2
            assert outputs.queries.class_logits.shape == (2, 4, 5, 2)
            return total_loss(outputs, batch, losses=losses)[0]

        gradient = jax.jit(jax.grad(loss_of))(params)
        return jax.tree.map(lambda leaf: float(jnp.abs(leaf).max()), gradient)

    mask_gradients = gradient_of(ADAPTIVECLICK_LOSSES)
    assert all(np.isfinite(leaf) for leaf in jax.tree.leaves(mask_gradients))
    # The mask depends on the tokens of both selections.
    for index in range(2):
        selection = mask_gradients["backbone"][f"insertions_{index}"]
        assert selection["fused_to_grid"]["out"]["kernel"] > 0
        assert selection["score"]["fine"]["out"]["kernel"] > 0
    assert mask_gradients["decoder"]["query_content"] > 0
    assert mask_gradients["neck"]["layer0"]["mlp"]["hidden"]["kernel"] > 0
    token_gradients = gradient_of(dict(token_contrast=1.0, token_score=1.0))
    assert (
        token_gradients["backbone"]["insertions_1"]["score"]["fine"]["out"]["kernel"]
        > 0
    )
    assert token_gradients["decoder"]["query_content"] == 0


@pytest.mark.parametrize(
    ("size", "size_values", "expected_count"),
    [
        ("tiny", (192, 12, (64, 128, 256, 512)), 28_656_834),
        ("base", (768, 12, (256, 512, 1024, 2048)), 179_569_026),
    ],
)
def test_every_size_has_the_expected_number_of_parameters(
    size, size_values, expected_count
):
    shapes = parameter_shapes(mst_adaptive(size=size))
    num_params = sum(leaf.size for leaf in jax.tree.leaves(shapes))
    width, depth, pyramid_widths = size_values
    expected = count_vit(width, depth, 16, 28)
    expected += count_pyramid(width, pyramid_widths)
    expected += 3 * count_token_selection(
        width, expert_ratio=1, mlp_ratio=1, pool_size=4, use_mlp=False
    )
    expected += count_pixel_decoder(pyramid_widths, 256) + count_mask_decoder(256)
    assert num_params == expected
    assert num_params == expected_count


def test_token_selections_have_the_given_options():
    options = dict(insert_every=4, selection=dict(keep_ratio=1 / 3), dtype="bfloat16")
    backbone = mst_adaptive(release="224", top_k="gumbel", **options).backbone
    assert backbone.insert_at == (0, 4, 8)
    for selection in backbone.insertions:
        assert (selection.top_k, selection.pool_size) == ("gumbel", 1)
        assert selection.keep_ratio == 1 / 3
        assert selection.dtype == jnp.bfloat16
    assert mst_adaptive(insert_every=6).backbone.insert_at == (5, 11)


def test_wrong_values_are_rejected():
    with pytest.raises(
        ValueError, match="token selection is 'slim'; choose one of slim-448"
    ):
        mst_adaptive(release="slim")
    with pytest.raises(ValueError, match=r"32 groups .* do not divide the width 48"):
        mst_adaptive(decoder_width=48)
