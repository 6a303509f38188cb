"""Splash attention: the TPU kernel for attention that JAX ships."""

from typing import Any

import jax
import jax.numpy as jnp
from einops import rearrange
from jax.experimental.pallas.ops.tpu.splash_attention import (
    splash_attention_kernel,
    splash_attention_mask,
)
from jaxtyping import Array, Bool, Float

from mst_jax.layers.remat import SAVED_NAME

# The kernel computes blocks of this many queries and keys at most, in multiples of the
# lanes of a TPU.
MAX_BLOCK_SIZE = 1024
NUM_LANES = 128


def splash_attention(
    query: Float[Array, "b a n d"],
    key: Float[Array, "b a m d"],
    value: Float[Array, "b a m d"],
    blocked: Bool[Array, "b 1 m"] | None = None,
    *,
    interpret: bool = False,
) -> Float[Array, "b n a d"]:
    """Compute attention with the splash attention kernel; it can be differentiated.

    Args:
        query: [b a n d] bfloat16 queries of a heads.
        key: [b a m d] keys.
        value: [b a m d] values.
        blocked: [b 1 m] True for keys that no query attends to; None = no key. If all
            keys of an example are blocked, the result is the mean of its values.
        interpret: Whether to interpret the kernel, on any platform.

    Returns:
        [b n a d] attended values.
    """
    _, num_heads, num_queries, head_width = query.shape
    num_keys = key.shape[2]
    # The kernel does not scale; float32, because the scale may not be a power of two.
    query = (query.astype(jnp.float32) * head_width**-0.5).astype(query.dtype)
    if blocked is not None:
        # Without allowed keys: equal logits for all keys, by a query of zeros.
        all_blocked = blocked.all(-1)
        query = jnp.where(all_blocked[:, None, :, None], 0, query)
        blocked = blocked & ~all_blocked[..., None]
    # 1. Pad to whole blocks.
    query, key, value = (_pad_heads(tokens) for tokens in (query, key, value))
    # 2. Queries attend to keys with the same number: 0 for allowed keys, 1 for others.
    segments, segments_axis = None, None
    query_numbers = jnp.zeros(query.shape[2], jnp.int32)
    if blocked is not None:
        key_numbers = _pad_tokens(blocked[:, 0].astype(jnp.int32), axis=1, fill=1)
        segments_axis = splash_attention_kernel.SegmentIds(q=None, kv=0)  # pyright: ignore[reportArgumentType]
    else:
        key_numbers = (jnp.arange(key.shape[2]) >= num_keys).astype(jnp.int32)
    if blocked is not None or key.shape[2] > num_keys:
        segments = splash_attention_kernel.SegmentIds(q=query_numbers, kv=key_numbers)
    # 3. The kernel takes one example; `vmap` adds the batch to its grid.
    kernel = _make_kernel(num_heads, query.shape[2], key.shape[2], interpret)
    attended_values: Any = jax.vmap(kernel, in_axes=(0, 0, 0, segments_axis))(
        query, key, value, segments
    )
    # Without the padding, for all heads at once as in `_pad_heads`.
    merged_heads = rearrange(attended_values, "b a n d -> b n (a d)")[:, :num_queries]
    return rearrange(merged_heads, "b n (a d) -> b n a d", a=num_heads)


def _pad_heads(heads: Float[Array, "b a n d"]) -> Float[Array, "b a _ d"]:
    """Pad the tokens of all heads to a multiple of `NUM_LANES`.

    The heads of a token are padded side by side, because they fill the lanes of a TPU.
    To pad each head of 64 channels takes twice the cycles (compiler's estimate for v5e).
    """
    num_heads = heads.shape[1]
    rows = _pad_tokens(rearrange(heads, "b a n d -> b n (a d)"), axis=1)
    return rearrange(rows, "b n (a d) -> b a n d", a=num_heads)


def _pad_tokens(array: Array, *, axis: int, fill: int = 0) -> Array:
    """Pad an axis with a value to a multiple of `NUM_LANES`."""
    pad_widths = [(0, 0)] * array.ndim
    pad_widths[axis] = (0, -array.shape[axis] % NUM_LANES)
    return jnp.pad(array, pad_widths, constant_values=fill)


def _block_size(num_tokens: int) -> int:
    """Return the largest multiple of `NUM_LANES` that divides a padded number."""
    return max(
        size
        for size in range(NUM_LANES, MAX_BLOCK_SIZE + 1, NUM_LANES)
        if num_tokens % size == 0
    )


def _make_kernel(
    num_heads: int, num_queries: int, num_keys: int, interpret: bool
) -> splash_attention_kernel.SplashAttentionKernel:
    """Return the kernel of one example, without a mask besides segments."""
    query_block, key_block = _block_size(num_queries), _block_size(num_keys)
    head_mask = splash_attention_mask.FullMask((num_queries, num_keys))
    return splash_attention_kernel.make_splash_mha_single_device(
        splash_attention_mask.MultiHeadMask([head_mask] * num_heads),
        block_sizes=splash_attention_kernel.BlockSizes(
            block_q=query_block,
            block_kv=key_block,
            block_kv_compute=key_block,
            block_q_dkv=query_block,
            block_kv_dkv=key_block,
            block_kv_dkv_compute=key_block,
            use_fused_bwd_kernel=True,
        ),
        residual_checkpoint_name=SAVED_NAME,
        interpret=interpret,
    )
