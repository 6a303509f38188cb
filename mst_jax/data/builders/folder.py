"""A user's own pictures: `images/` and `masks/`."""

from __future__ import annotations

import re
from collections import defaultdict
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

LAYOUT = (
    "images/STEM.jpg (or .png, .bmp, .tif, .webp) and masks/STEM.png, or masks/"
    "STEM_0.png, STEM_1.png, ... for several layers: label maps, 0 = background, "
    "1 and up = objects"
)
_LAYER = re.compile(r"(?P<stem>.+)_(?P<number>\d+)")


class Folder(tfds.core.GeneratorBasedBuilder):
    """Reads `images/` and `masks/`; split `train`.

    A label map is a PNG of 8 or 16 bits, grey or with a palette; 65535 = ignored.

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
        require_folders(self._source, ("images", "masks"), layout=LAYOUT)
        super().__init__(**kwargs)

    def _info(self) -> tfds.core.DatasetInfo:
        return record.describe(self, "Pictures and label maps of a folder.")

    def _split_generators(self, dl_manager: object) -> dict[str, Iterator]:
        return {"train": self._generate_examples()}

    def _generate_examples(self) -> Iterator[tuple[str, dict[str, object]]]:
        pictures = self._find_pictures()
        masks = self._find_masks(set(pictures))
        num_good = 0
        for stem, path in self._progress(pictures.items()):
            row = self._read(path, masks[stem])
            if row is not None:
                num_good += 1
                yield stem, row
        self.faults.settle(skip=self._skip_bad, num_good=num_good)

    def _find_pictures(self) -> dict[str, Path]:
        """Picture files by stem."""
        pictures: dict[str, Path] = {}
        for path in list_files(self._source / "images"):
            if path.suffix.lower() not in PICTURE_SUFFIXES or path.is_dir():
                reason = f"not a picture file ({', '.join(PICTURE_SUFFIXES)})"
                self.faults.add(f"images/{path.name}", reason)
            elif path.stem in pictures:
                other = pictures[path.stem].name
                self.faults.add(f"images/{path.name}", f"has the same stem as {other}")
            else:
                pictures[path.stem] = path
        return pictures

    def _find_masks(self, stems: set[str]) -> dict[str, list[Path]]:
        """Mask files by the stem of their picture, in order of the layers."""
        masks: dict[str, list[tuple[int, Path]]] = defaultdict(list)
        for path in list_files(self._source / "masks"):
            if path.suffix.lower() != ".png" or path.is_dir():
                self.faults.add(f"masks/{path.name}", "masks must be .png files")
                continue
            numbered = _LAYER.fullmatch(path.stem)
            if path.stem in stems:
                masks[path.stem].append((-1, path))
            elif numbered and numbered["stem"] in stems:
                masks[numbered["stem"]].append((int(numbered["number"]), path))
            else:
                self.faults.add(f"masks/{path.name}", "mask without picture")
        found = {stem: [path for _, path in sorted(masks[stem])] for stem in masks}
        return defaultdict(list, found)

    def _read(self, path: Path, masks: list[Path]) -> dict[str, object] | None:
        """The record of a picture, or None if the picture or all its masks are bad."""
        try:
            picture = read_picture(path)
            if not masks:
                raise ValueError(f"has no mask masks/{path.stem}.png")
        except (ValueError, OSError) as error:
            self.faults.add(f"images/{path.name}", error)
            return None
        layers = []
        for mask in masks:
            try:
                layers.append(_open_mask(mask, picture.height, picture.width))
            except (ValueError, OSError) as error:
                self.faults.add(f"masks/{mask.name}", error)
        return record.make_record(path.stem, picture.data, layers) if layers else None


def _open_mask(path: Path, height: int, width: int) -> UInt16[np.ndarray, "h w"]:
    labels = read_labels(path)
    if labels.shape != (height, width):
        raise ValueError(
            f"is {labels.shape[0]}x{labels.shape[1]}, its picture "
            f"{height}x{width} (height x width)"
        )
    if not ((labels > 0) & (labels < IGNORED)).any():
        raise ValueError("has no object (every pixel is background or ignored)")
    return labels
