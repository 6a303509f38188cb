"""How full and how busy the devices are."""

import jax
from jaxtyping import PyTree

GIB = 2**30

# bfloat16 products, dense, FLOP/s of one device; by the beginning of `device_kind`, the
# longer name first. Sources: Google Cloud's pages on TPU versions, NVIDIA's data sheets.
# A device of v2 and v3 is half a chip.
PEAKS = {
    "TPU v2": 22.5e12,
    "TPU v3": 61.5e12,
    "TPU v4": 275e12,
    "TPU v5 lite": 197e12,
    "TPU v5e": 197e12,
    "TPU v5": 459e12,
    "TPU v6 lite": 918e12,
    "TPU v6e": 918e12,
    "NVIDIA A100": 312e12,
    "NVIDIA H100 PCIe": 756e12,
    "NVIDIA H100": 989e12,
    "NVIDIA H200": 989e12,
    "NVIDIA L4": 121e12,
    "Tesla T4": 65e12,
    "Tesla V100": 125e12,
}


def peak_of(kind: str) -> float | None:
    """FLOP/s that a device can do at most; None if nobody told us."""
    fitting = [name for name in PEAKS if kind.startswith(name)]
    return PEAKS[max(fitting, key=len)] if fitting else None


def flops_of(update: object, *arguments: PyTree, accumulate: int = 1) -> float | None:
    """FLOP that one device does in a step, as the compiler counts them.

    The compiler counts the body of a loop once: of the user's rounds one is counted
    whatever was played, and parts of a batch are multiplied here. What rematerialisation
    computes again is counted too.

    Args:
        update: compiled function (it is not compiled again).
        *arguments: of the update, or their shapes.
        accumulate: parts of the batch.

    Returns:
        The number; None where the compiler does not count.
    """
    analysis = update.lower(*arguments).compile().cost_analysis() or {}
    flops = analysis.get("flops")
    return flops * accumulate if flops and flops > 0 else None


def utilization(flops: float | None, step_seconds: float) -> dict[str, float]:
    """`flop_utilization`: share of the device's peak, 0 to 1; empty if unknown."""
    peak = peak_of(jax.local_devices()[0].device_kind)
    if not flops or not peak:
        return {}
    return {"flop_utilization": flops / step_seconds / peak}


def memory_in_use() -> dict[str, float]:
    """`device_memory_gib`: most that the fullest device here ever held; if it tells."""
    told = [device.memory_stats() or {} for device in jax.local_devices()]
    peaks = [one["peak_bytes_in_use"] for one in told if "peak_bytes_in_use" in one]
    return {"device_memory_gib": max(peaks) / GIB} if peaks else {}
