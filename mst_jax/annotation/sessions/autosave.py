"""What is finished in a picture of the folder, saved beside and read again."""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath

from mst_jax.annotation.files import export_formats
from mst_jax.annotation.files.export_formats import Export, Named
from mst_jax.annotation.files.image_folder import PictureFolder
from mst_jax.annotation.limits import Refused
from mst_jax.atomic_io import write_whole
from mst_jax.data.formats.coco import decode_mask


class Saved:
    """A label map and a COCO json (run lengths) for each picture that has objects."""

    def __init__(self, root: Path, folder: PictureFolder) -> None:
        """Takes the folder to save to, there or not.

        Raises:
            ValueError: two pictures would be saved to the same files.
        """
        self._root = root
        names: dict[Path, str] = {}
        for name, *_ in folder.pictures():
            place = self._place(name)
            if place in names:
                raise ValueError(
                    f"{names[place]} and {name} would both be saved to {place}.png; "
                    "rename one"
                )
            names[place] = name

    def write(self, what: Export) -> None:
        """Saves the objects of a picture, in lieu of what was saved before."""
        place = self._place(what.name)
        for form in (export_formats.labels, export_formats.coco_rle):
            made = form(what)
            write_whole(place.with_name(place.name + made.suffix), made.data)

    def read(self, name: str, height: int, width: int) -> list[Named]:
        """The objects saved of a picture, none if nothing was.

        Raises:
            Refused: the file is damaged, or of another picture.
        """
        place = self._place(name)
        path = place.with_name(place.name + ".json")
        if not path.exists():
            return []
        try:
            tree = json.loads(path.read_bytes())
            names = {one["id"]: one["name"] for one in tree["categories"]}
            return [
                Named(
                    one["id"],
                    names[one["category_id"]],
                    one.get("colour", ""),
                    decode_mask(one["segmentation"], height, width),
                )
                for one in tree["annotations"]
            ]
        except (ValueError, KeyError, TypeError) as error:
            raise Refused(
                f"{path.name}, saved earlier, is not of this picture or damaged "
                f"({error}); move it away"
            ) from None

    def _place(self, name: str) -> Path:
        return self._root / PurePosixPath(name).with_suffix("")
