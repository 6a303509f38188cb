"""GrabCut: 50 pictures, one object each; a test set."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import tensorflow_datasets as tfds
from jaxtyping import UInt16

from mst_jax.data import record
from mst_jax.data.example import IGNORED
from mst_jax.data.faults import Faults
from mst_jax.data.pictures import PICTURE_SUFFIXES, read_labels, read_picture
from mst_jax.data.source_folder import list_files, require_folders

LAYOUT = "data_GT/STEM.jpg or .bmp (pictures) and boundary_GT/STEM.bmp (their masks)"
_OBJECT, _UNSURE = 255, 128


class Grabcut(tfds.core.GeneratorBasedBuilder):
    """Reads `data_GT/` and `boundary_GT/`; split `test`.

    Source: Rother, Kolmogorov, Blake, GrabCut, SIGGRAPH 2004.

    Attributes:
        faults: the files left out, once the set is written.
    """

    VERSION = tfds.core.Version("1.0.0")

    def __init__(
        self,
        *,
        source: str,
        skip_bad: bool = False,
        progress: Callable[[Iterable], Iterable] = iter,
        **kwargs: object,
    ) -> None:
        self._source, self._skip_bad, self._progress = Path(source), skip_bad, progress
        self.faults = Faults()
        require_folders(self._source, ("data_GT", "boundary_GT"), layout=LAYOUT)
        super().__init__(**kwargs)

    def _info(self) -> tfds.core.DatasetInfo:
        return record.describe(self, "GrabCut: 50 pictures with one object each.")

    def _split_generators(self, dl_manager: object) -> dict[str, Iterator]:
        return {"test": self._generate_examples()}

    def _generate_examples(self) -> Iterator[tuple[str, dict[str, object]]]:
        pictures = {path.stem: path for path in list_files(self._source / "data_GT")}
        num_good = 0
        for stem, path in self._progress(pictures.items()):
            try:
                row = self._read(stem, path)
            except (ValueError, OSError) as error:
                self.faults.add(f"data_GT/{path.name}", error)
                continue
            num_good += 1
            yield stem, row
        for mask in list_files(self._source / "boundary_GT"):
            if mask.stem not in pictures:
                self.faults.add(f"boundary_GT/{mask.name}", "mask without picture")
        self.faults.settle(skip=self._skip_bad, num_good=num_good)

    def _read(self, stem: str, path: Path) -> dict[str, object]:
        if path.suffix.lower() not in PICTURE_SUFFIXES:
            raise ValueError(f"not one of {', '.join(PICTURE_SUFFIXES)}")
        mask = self._source / "boundary_GT" / f"{stem}.bmp"
        if not mask.is_file():
            raise ValueError(f"has no mask boundary_GT/{stem}.bmp")
        picture = read_picture(path)
        try:
            labels = open_mask(read_labels(mask))
        except ValueError as error:
            raise ValueError(f"mask {stem}.bmp: {error}") from error
        if labels.shape != (picture.height, picture.width):
            raise ValueError(
                f"is {picture.height}x{picture.width}, its mask "
                f"{labels.shape[0]}x{labels.shape[1]} (height x width)"
            )
        return record.make_record(stem, picture.data, [labels])


def open_mask(values: UInt16[np.ndarray, "h w"]) -> UInt16[np.ndarray, "h w"]:
    """Turns 255 = object, 128 = unsure, 0 = background into our labels.

    Raises:
        ValueError: other values, or no object.
    """
    strange = np.setdiff1d(values, [0, _UNSURE, _OBJECT])
    if strange.size:
        raise ValueError(f"has values {strange[:5].tolist()}, expected 0, 128 and 255")
    if not (values == _OBJECT).any():
        raise ValueError("has no object (no pixel is 255)")
    labels = (values == _OBJECT).astype(np.uint16)
    labels[values == _UNSURE] = IGNORED
    return labels
