"""TPU topologies that are not here: their devices, memory and peaks.

The package libtpu has the compiler, which needs no TPU.
"""

import importlib.util
import os
from typing import Any, NamedTuple

import jax
from jax.experimental import topologies

from mst_jax.training import telemetry


class ChipSpecification(NamedTuple):
    """What limits the speed of a chip.

    Attributes:
        hbm_bytes: Capacity of its memory (HBM) in bytes.
        hbm_bytes_per_second: Bandwidth of its memory.
        source: Page with both numbers and the peak of `telemetry.PEAK_FLOPS`.
    """

    hbm_bytes: float
    hbm_bytes_per_second: float
    source: str


CHIP_SPECIFICATIONS = {
    "v4": ChipSpecification(
        32 * 2**30, 1200e9, "https://docs.cloud.google.com/tpu/docs/v4"
    ),
    "v5e": ChipSpecification(16e9, 819e9, "https://docs.cloud.google.com/tpu/docs/v5e"),
    "v5p": ChipSpecification(
        95e9, 2765e9, "https://docs.cloud.google.com/tpu/docs/v5p"
    ),
    "v6e": ChipSpecification(
        32e9, 1638e9, "https://docs.cloud.google.com/tpu/docs/v6e"
    ),
}
"""Version of a TPU -> specification of one chip."""

# libtpu asks the machine for these where they are not set.
LIBTPU_VARIABLES = {
    "TPU_SKIP_MDS_QUERY": "1",
    "TPU_ACCELERATOR_TYPE": "v4-8",
    "TPU_WORKER_HOSTNAMES": "localhost",
    "TPU_WORKER_ID": "0",
}


def topology_devices(name: str) -> list[Any]:
    """Return the devices of a topology, to compile for.

    Args:
        name: Version and chips along each axis, such as "v5e:2x4" or "v4:2x2x1".

    Raises:
        ValueError: libtpu is not installed, or there is no such topology.
    """
    version = name.partition(":")[0]
    if version not in CHIP_SPECIFICATIONS:
        raise ValueError(
            f"--topology is {name!r}, expected one of {', '.join(CHIP_SPECIFICATIONS)} "
            "and the chips along each axis, such as v5e:2x4 or v4:2x2x1"
        )
    if importlib.util.find_spec("libtpu") is None:
        raise ValueError(
            "libtpu is not installed, but is required for compiling for TPUs: "
            "pip install 'mst_jax[tpu-compile]'"
        )
    for variable, value in LIBTPU_VARIABLES.items():
        os.environ.setdefault(variable, value)
    try:
        topology = topologies.get_topology_desc(
            platform="tpu",
            topology_name=name,
            # JAX takes both cores of a v4 chip as one device; libtpu must be told.
            **({"chip_config_name": "megacore"} if version == "v4" else {}),
        )
    except (jax.errors.JaxRuntimeError, ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"libtpu has no topology {name!r}: {reason}") from None
    return list(topology.devices)


def chip_limits(name: str, device_kind: str) -> tuple[ChipSpecification, float]:
    """Return the specification of a topology's chips, and their peak in FLOP/s.

    Args:
        name: Name of the topology.
        device_kind: Name of its devices in JAX.

    Raises:
        ValueError: The peak is unknown.
    """
    peak = telemetry.peak_flops(device_kind)
    if peak is None:
        raise ValueError(f"the peak of {device_kind!r} is not in telemetry.PEAK_FLOPS")
    return CHIP_SPECIFICATIONS[name.partition(":")[0]], peak
