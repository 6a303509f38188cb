"""Files of weights as other programs publish them."""

from mst_jax.atomic_io import Place
from mst_jax.checkpoints import dinov2, torch_file
from mst_jax.checkpoints.torch_file import TorchFile, read_torch_file

SUFFIXES = (*torch_file.SUFFIXES, dinov2.SUFFIX)


def is_published_file(path: Place) -> bool:
    """Is it a name of such a file?"""
    return path.suffix in SUFFIXES


def read_published_file(path: Place) -> TorchFile:
    """Reads `.pth`, `.pt`, `.safetensors`, or DINOv2's `.npz`.

    Raises:
        ValueError: no such file, a format of another kind, damaged, or no arrays in it.
    """
    if path.suffix == dinov2.SUFFIX:
        return TorchFile(dinov2.read_npz(path), {}, {})
    return read_torch_file(path)
