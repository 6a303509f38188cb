import flax.linen as nn
import jax.numpy as jnp
import pytest

from mst_jax.backbones.vit_sizes import pick
from mst_jax.models.encoder import make_trunk, read_dtype


def test_the_trunk_has_the_numbers_of_its_row():
    row = pick("huge")
    embed, backbone = make_trunk(row, crop=448, window=224, dtype="bfloat16")
    assert (embed.width, embed.patch, embed.positions) == (1280, 14, (32, 32))
    assert (backbone.depth, backbone.num_heads, backbone.global_every) == (32, 16, 8)
    assert backbone.window == 16 and not embed.lends
    assert backbone.dtype == jnp.bfloat16


def test_it_lends_tokens_where_something_is_inserted():
    row = pick("tiny")
    places = dict(insert_at=(3,), insertions=(nn.Dense(1),))
    embed, backbone = make_trunk(row, crop=64, window=0, dtype="float32", **places)
    assert embed.lends and backbone.insert_at == (3,)


def test_wrong_values_are_named():
    with pytest.raises(ValueError, match="dtype is 'f99', expected 'float32'"):
        read_dtype("f99")
    for crop, window in ((100, 0), (64, 40), (0, 0), (64, -16)):
        with pytest.raises(
            ValueError, match=f"crop {crop} and window {window} are not"
        ):
            make_trunk(pick("tiny"), crop=crop, window=window, dtype="float32")
