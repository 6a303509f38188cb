"""Find accelerators of the machine that JAX does not use."""

import os
from pathlib import Path

import jax

# Device files of the NVIDIA driver: Linux, containers, WSL2.
NVIDIA_FILES = ("dev/nvidia0", "dev/nvidiactl", "dev/dxg")

# PCI identifiers of TPUs; Google's network cards have the same vendor.
GOOGLE_VENDOR = "0x1ae0"
TPU_DEVICES = ("0x0027", "0x0056", "0x005e", "0x0062", "0x0063", "0x006f", "0x0076")


def find_accelerator(root: Path = Path("/")) -> str | None:
    """Return the kind of accelerator that the machine has, whether JAX uses it or not.

    Args:
        root: Root of the file system.

    Returns:
        "NVIDIA GPU" or "TPU"; None without either.
    """
    if any((root / name).exists() for name in NVIDIA_FILES):
        return "NVIDIA GPU"
    if any((root / "dev").glob("accel[0-9]*")):
        return "TPU"
    for vendor_file in (root / "sys/bus/pci/devices").glob("*/vendor"):
        device_file = vendor_file.with_name("device")
        if (
            _read_word(vendor_file) == GOOGLE_VENDOR
            and _read_word(device_file) in TPU_DEVICES
        ):
            return "TPU"
    return None


def unused_accelerator_warning(root: Path = Path("/")) -> str | None:
    """Return a warning if JAX runs on the CPU of a machine with an accelerator.

    Args:
        root: Root of the file system.

    Returns:
        One sentence with the command that installs what is missing; None if JAX uses
        an accelerator, there is none, or JAX_PLATFORMS chooses the platform.
    """
    if jax.default_backend() != "cpu" or os.environ.get("JAX_PLATFORMS"):
        return None
    accelerator = find_accelerator(root)
    if accelerator is None:
        return None
    extra = "tpu" if accelerator == "TPU" else "cuda12"
    return (
        f"warning: this machine has a {accelerator}, but JAX runs on the CPU, which is "
        f'many times slower; pip install -U "jax[{extra}]=={jax.__version__}", then '
        "start again"
    )


def _read_word(path: Path) -> str:
    """Return the word in a small file; "" if it cannot be read."""
    try:
        return path.read_text().strip()
    except OSError:
        return ""
