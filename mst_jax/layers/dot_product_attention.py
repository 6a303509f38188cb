"""Scaled dot-product attention, computed by the kernel that suits the platform."""

import contextlib
import contextvars
import functools
from collections.abc import Iterator

import jax
import jax.numpy as jnp
from einops import rearrange
from jax.sharding import AxisType, PartitionSpec
from jaxtyping import Array, Bool, Float

from mst_jax.layers.remat import name_saved_result
from mst_jax.layers.splash_attention import splash_attention

# Kernels are used for this many logits of a head, 512 x 512, or more. Fewer stay in the
# fast memory of a TPU: at 196 x 196 the kernel moves 377 MB instead of 437, at 784 x 784
# 370 instead of 1136 (compiler's count for v5e, forward and backward pass).
MIN_KERNEL_LOGITS = 2**18

# Kernels compute blocks of this many queries and keys or more.
MIN_KERNEL_TOKENS = 128

# cuDNN's flash attention needs NVIDIA's Ampere generation or a later one, and
# there heads that are not wider.
MIN_COMPUTE_CAPABILITY = 8.0
MAX_CUDNN_WIDTH = 128

# Pallas kernels are not tested on these.
TPU_KINDS_WITHOUT_KERNELS = ("TPU v2", "TPU v3")


_kernels_allowed = contextvars.ContextVar("kernels_allowed", default=True)


@contextlib.contextmanager
def without_kernels() -> Iterator[None]:
    """Trace programs without kernels in this block.

    JAX lowers the kernels of each platform for all platforms of a program, which fails
    if there are several, as in an exported file.
    """
    token = _kernels_allowed.set(False)
    try:
        yield
    finally:
        _kernels_allowed.reset(token)


def dot_product_attention(
    query: Float[Array, "b a n d"],
    key: Float[Array, "b a m d"],
    value: Float[Array, "b a m d"],
    *,
    blocked: Bool[Array, "b #n m"] | None = None,
) -> Float[Array, "b n a d"]:
    """Compute one weighted mean of the values for each query and head.

    In bfloat16, TPUs and GPUs compute it with kernels that never store the [n m] logits
    in memory: splash attention, which JAX ships, and cuDNN's flash attention. The
    platform is chosen when the program is lowered. Programs for CUDA contain cuDNN's
    kernel only if they are traced on a machine with such a GPU. Float32, few logits, and
    masks that differ between queries are computed by `plain_attention` everywhere: such
    masks belong to the few queries of a decoder, whose logits are small.

    Args:
        query: [b a n d] queries of a heads.
        key: [b a m d] keys.
        value: [b a m d] values.
        blocked: [b n m] True where a query must not attend to a key; None blocks
            nothing. A query with all keys blocked returns the mean of the values.

    Returns:
        [b n a d] attended values in the dtype of the values.
    """
    num_queries, num_keys = query.shape[2], key.shape[2]
    if (
        not _kernels_allowed.get()
        or query.dtype != jnp.bfloat16
        or num_queries * num_keys < MIN_KERNEL_LOGITS
        or min(num_queries, num_keys) < MIN_KERNEL_TOKENS
        or (blocked is not None and blocked.shape[1] > 1)
    ):
        return plain_attention(query, key, value, blocked)
    platform_functions = {}
    if _can_use_splash_attention():
        platform_functions["tpu"] = _sharded_splash_attention
    if _can_use_cudnn_attention() and _fits_cudnn(query, key):
        platform_functions["cuda"] = _cudnn_attention
    if not platform_functions:
        return plain_attention(query, key, value, blocked)
    return jax.lax.platform_dependent(
        query, key, value, blocked, default=plain_attention, **platform_functions
    )


def plain_attention(
    query: Float[Array, "b a n d"],
    key: Float[Array, "b a m d"],
    value: Float[Array, "b a m d"],
    blocked: Bool[Array, "b #n m"] | None = None,
) -> Float[Array, "b n a d"]:
    """Compute `dot_product_attention` with the logits in memory, on any platform.

    The sums of the softmax divide the attended values, which are fewer than the logits,
    and the heads are transposed after the product with the values. On a CPU, the forward
    and backward pass of 400 tokens and 6 heads of 64 take 0.75 times the time of
    `jax.nn.softmax` and one `einsum`.

    Args:
        query: See `dot_product_attention`, as for the other arguments.
        key: Keys.
        value: Values.
        blocked: True where a query must not attend to a key.
    """
    # 1. Scaled similarities.
    logits = jnp.einsum(
        "band,bamd->banm", query, key, preferred_element_type=jnp.float32
    )
    logits = logits * query.shape[-1] ** -0.5
    if blocked is not None:
        # The lowest finite number instead of -inf: a fully blocked query has a
        # uniform softmax, not NaN.
        logits = jnp.where(blocked[:, None], jnp.finfo(jnp.float32).min, logits)
    # 2. Softmax without its division, in float32. The maximum only avoids overflow.
    maximum = jax.lax.stop_gradient(logits.max(axis=-1, keepdims=True))
    exponentials = jnp.exp(logits - maximum)
    # 3. Sums of values, weighted by exponentials rounded to the dtype of the values.
    weighted_sums = jnp.einsum(
        "banm,bamd->band",
        exponentials.astype(value.dtype),
        value,
        preferred_element_type=jnp.float32,
    )
    attended_values = weighted_sums / exponentials.sum(axis=-1, keepdims=True)
    attended_values = rearrange(attended_values, "b a n d -> b n a d")
    return name_saved_result(attended_values.astype(value.dtype))


def _sharded_splash_attention(
    query: Array, key: Array, value: Array, blocked: Array | None
) -> Array:
    """Compute splash attention on each device's share of the batch.

    The compiler cannot partition a Pallas kernel. The mesh is that of the sharded
    arrays which the queries were computed from.
    """
    mesh = jax.typeof(query).sharding.mesh
    is_automatic = AxisType.Auto in mesh.axis_types
    if not is_automatic or mesh.size == 1:
        return splash_attention(query, key, value, blocked)
    if len(query) % mesh.size:
        # An uneven batch, such as that of one example, cannot be sharded.
        return plain_attention(query, key, value, blocked)
    batch_sharded = PartitionSpec(mesh.axis_names)
    # The kernel does not declare over which axes its results vary.
    return jax.shard_map(
        splash_attention,
        mesh=mesh,
        in_specs=batch_sharded,
        out_specs=batch_sharded,
        check_vma=False,
    )(query, key, value, blocked)


def _cudnn_attention(
    query: Array, key: Array, value: Array, blocked: Array | None
) -> Array:
    """Compute attention with cuDNN, which takes [b n a d]."""
    query, key, value = (
        rearrange(tokens, "b a n d -> b n a d") for tokens in (query, key, value)
    )
    mask = None
    if blocked is not None:
        # cuDNN takes a mask of all queries, the same for all heads.
        mask_shape = (len(query), 1, query.shape[1], key.shape[1])
        mask = jnp.broadcast_to(~blocked[:, None], mask_shape)
    return jax.nn.dot_product_attention(
        query, key, value, mask=mask, implementation="cudnn"
    )


def _fits_cudnn(query: Array, key: Array) -> bool:
    """Return whether cuDNN computes and differentiates attention of these shapes."""
    has_even_tokens = query.shape[2] % 2 == 0 and key.shape[2] % 2 == 0
    head_width = query.shape[-1]
    return has_even_tokens and head_width % 8 == 0 and head_width <= MAX_CUDNN_WIDTH


@functools.cache
def _can_use_splash_attention() -> bool:
    """Return whether the TPUs of this process, if it has any, run Pallas kernels."""
    device_kind = jax.devices()[0].device_kind
    return not device_kind.startswith(TPU_KINDS_WITHOUT_KERNELS)


@functools.cache
def _can_use_cudnn_attention() -> bool:
    """Return whether this process has GPUs that run cuDNN's flash attention."""
    if "cuda" not in jax.devices()[0].client.platform_version:
        return False
    capabilities = (float(device.compute_capability) for device in jax.local_devices())
    return min(capabilities) >= MIN_COMPUTE_CAPABILITY
