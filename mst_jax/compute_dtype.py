"""Compute dtypes of matrix products, and which one suits this machine."""

import functools
from pathlib import Path

import jax
import jax.numpy as jnp
import jaxlib

COMPUTE_DTYPES = ("float32", "bfloat16")

# Where Linux lists the features of the CPU.
CPU_INFO_FILE = Path("/proc/cpuinfo")

# Features with instructions for bfloat16 products: AMX on Intel's servers since 2023,
# AVX512-BF16 on AMD's Zen 4 and later.
BFLOAT16_FLAGS = {"amx_bf16", "avx512_bf16"}

# Earlier releases compute many bfloat16 products more slowly than float32 products.
MIN_JAXLIB_VERSION = (0, 11)


def parse_compute_dtype(dtype_name: str) -> jnp.dtype:
    """Return the compute dtype of the matrix products.

    Args:
        dtype_name: "float32" or "bfloat16".

    Raises:
        ValueError: Another name.
    """
    if dtype_name not in COMPUTE_DTYPES:
        raise ValueError(
            f"model dtype is {dtype_name!r}, expected 'float32' or 'bfloat16'"
        )
    return jnp.dtype(dtype_name)


def fastest_dtype(trained_dtype: str) -> str:
    """Return the compute dtype for predictions on JAX's default device.

    On a CPU it is the one whose matrix products are faster there: bfloat16 with AMX or
    AVX512-BF16, else float32. On other devices it is the one of the training.

    Args:
        trained_dtype: Compute dtype that the model was trained with.
    """
    if jax.default_backend() != "cpu":
        return trained_dtype
    return "bfloat16" if has_fast_bfloat16() else "float32"


def has_fast_bfloat16() -> bool:
    """Return whether bfloat16 products are faster than float32 ones on this CPU."""
    is_new = jaxlib.version.__version_info__[:2] >= MIN_JAXLIB_VERSION
    return is_new and not BFLOAT16_FLAGS.isdisjoint(_cpu_flags())


@functools.cache
def _cpu_flags() -> frozenset[str]:
    """Return the features of the first CPU core; none where Linux does not list them."""
    try:
        lines = CPU_INFO_FILE.read_text().splitlines()
    except OSError:
        return frozenset()
    flag_lines = (line for line in lines if line.startswith("flags"))
    return frozenset(next(flag_lines, "").partition(":")[2].split())
