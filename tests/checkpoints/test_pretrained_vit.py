import numpy as np
import pytest

from mst_jax.checkpoints.dinov2 import dinov2_mapping
from mst_jax.checkpoints.pretrained_vit import find_pretrained_vit
from mst_jax.checkpoints.torch_vit import mae_mapping

MAE = {
    "patch_embed.proj.weight": np.zeros((8, 3, 14, 14)),
    "pos_embed": np.zeros((1, 26, 8)),
    "blocks.0.attn.qkv.weight": np.zeros((24, 8)),
    "blocks.1.attn.qkv.weight": np.zeros((24, 8)),
}
DINOV2 = {
    "patch_embed.kernel": np.zeros((14, 14, 3, 8)),
    "pos_embed": np.zeros((5, 5, 8)),
    "blocks.0.attn.qkv.kernel": np.zeros((8, 24)),
    "blocks.1.attn.qkv.kernel": np.zeros((8, 24)),
}


@pytest.mark.parametrize(
    ("arrays", "make_mapping"), [(MAE, mae_mapping), (DINOV2, dinov2_mapping)]
)
def test_each_program_is_known_by_its_names(arrays, make_mapping):
    found = find_pretrained_vit(arrays)
    assert found.vit_shape == (8, 2, 14, 5)
    assert found.mapping == make_mapping(2)


def test_other_checkpoints_are_none():
    click_model = {f"backbone.{name}": array for name, array in MAE.items()}
    assert find_pretrained_vit(click_model) is None
    assert find_pretrained_vit({}) is None
    with pytest.raises(ValueError, match="lacks the array patch_embed"):
        find_pretrained_vit({"blocks.0.attn.qkv.weight": np.zeros((24, 8))})
