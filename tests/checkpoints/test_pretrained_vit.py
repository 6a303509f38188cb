import numpy as np
import pytest

from mst_jax.checkpoints.dinov2 import dinov2_table
from mst_jax.checkpoints.pretrained_vit import find_bare_vit
from mst_jax.checkpoints.torch_vit import mae_table

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
    ("arrays", "make_table"), [(MAE, mae_table), (DINOV2, dinov2_table)]
)
def test_each_is_known_by_its_names(arrays, make_table):
    found = find_bare_vit(arrays)
    assert found.measures == (8, 2, 14, 5)
    assert found.table == make_table(2)


def test_what_is_more_or_less_is_none():
    whole = {f"backbone.{name}": array for name, array in MAE.items()}
    assert find_bare_vit(whole) is None
    assert find_bare_vit({}) is None
    with pytest.raises(ValueError, match="lacks the array patch_embed"):
        find_bare_vit({"blocks.0.attn.qkv.weight": np.zeros((24, 8))})
