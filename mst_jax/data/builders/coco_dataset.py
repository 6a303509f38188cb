"""What sets that a COCO file lists have in common."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, UInt16

from mst_jax.data.builders.discovery import Item
from mst_jax.data.builders.folder_dataset import SourceSet
from mst_jax.data.formats.coco import Listed, open_objects, read_coco
from mst_jax.data.formats.images import read_picture
from mst_jax.data.overlap_layers import find_wholes, list_parts, stack_layers
from mst_jax.data.record import make_record


class _Entry(NamedTuple):
    listed: Listed
    coco: Path


class ListedSet(SourceSet, skip_registration=True):
    """A set whose pictures and objects are listed in files of COCO's form.

    Objects that overlap stand in different layers; an object that lies in another to more
    than 80 % is its part.
    """

    def list_pictures(self, coco: Path, folders: Sequence[Path]) -> list[Item]:
        """The pictures of a COCO file, each in the first folder that has it.

        Raises:
            ValueError: the file is not of COCO's form.
        """
        self._entries: dict[Path, _Entry] = getattr(self, "_entries", {})
        items: dict[str, Item] = {}
        for listed in read_coco(coco):
            paths = (folder / listed.file for folder in folders)
            path = next((path for path in paths if path.is_file()), None)
            file = f"{coco.name}, picture {listed.file}"
            if path is None:
                self.faults.add(file, "is missing")
            elif listed.id in items:
                self.faults.add(file, "is listed twice")
            else:
                items[listed.id] = Item(listed.id, path, (coco,))
                self._entries[path] = _Entry(listed, coco)
        return list(items.values())

    def open_masks(
        self, listed: Listed, coco: Path
    ) -> Sequence[Bool[np.ndarray, "h w"]]:
        """The objects of a picture."""
        return open_objects(listed, coco, self.faults)

    def open_stuff(
        self,
        listed: Listed,
        coco: Path,
        masks: Sequence[Bool[np.ndarray, "h w"]],
    ) -> Sequence[UInt16[np.ndarray, "h w"]]:
        """Label maps of what is no object in a picture with these objects: none."""
        return ()

    def read(self, item: Item) -> Iterator[dict[str, object]]:
        """Yields the record of a picture, or none if it has no object."""
        listed, coco = self._entries[item.picture]
        picture = read_picture(item.picture)
        if (picture.height, picture.width) != (listed.height, listed.width):
            raise ValueError(
                f"is {picture.height}x{picture.width}, {coco.name} says "
                f"{listed.height}x{listed.width} (height x width)"
            )
        masks = self.open_masks(listed, coco)
        if not masks:
            self.faults.remark("pictures without an object")
            return
        layers, places = stack_layers(masks)
        parts = list_parts(find_wholes(masks), places)
        stuff = self.open_stuff(listed, coco, masks)
        yield make_record(item.id, picture.data, layers, parts=parts, stuff=stuff)
