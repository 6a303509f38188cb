"""The encoder: values of its size, insertions, errors."""

import flax.linen as nn
import jax.numpy as jnp
import pytest

from mst_jax.backbones.vit_sizes import get_vit_size
from mst_jax.models.encoder import make_encoder


def test_encoder_has_the_values_of_its_size():
    size_config = get_vit_size("huge")
    embed, backbone = make_encoder(size_config, crop=448, window=224, dtype="bfloat16")
    assert (embed.width, embed.patch_size, embed.position_grid) == (1280, 14, (32, 32))
    assert (backbone.depth, backbone.num_heads, backbone.global_every) == (32, 16, 8)
    assert backbone.window_size == 16 and not embed.emits_multi_scale
    assert backbone.dtype == jnp.bfloat16


def test_embedding_emits_multi_scale_tokens_if_there_are_insertions():
    size_config = get_vit_size("tiny")
    insertion_options = dict(insert_at=(3,), insertions=(nn.Dense(1),))
    embed, backbone = make_encoder(
        size_config, crop=64, window=0, dtype="float32", **insertion_options
    )
    assert embed.emits_multi_scale and backbone.insert_at == (3,)


def test_wrong_values_are_rejected():
    for crop, window in ((100, 0), (64, 40), (0, 0), (64, -16)):
        with pytest.raises(
            ValueError, match=f"crop {crop} and window {window} are not"
        ):
            make_encoder(
                get_vit_size("tiny"), crop=crop, window=window, dtype="float32"
            )
