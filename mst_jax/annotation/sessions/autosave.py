"""Save the finished objects of the folder's images to disk, and restore them."""

import json
from pathlib import Path, PurePosixPath

from mst_jax.annotation.errors import RequestRejected
from mst_jax.annotation.files.export_formats import (
    LabeledMask,
    SessionExport,
    export_coco_rle,
    export_label_map,
)
from mst_jax.annotation.files.image_folder import ImageFolder
from mst_jax.atomic_io import atomic_write
from mst_jax.data.formats.coco import decode_segmentation


class Autosave:
    """Writes a label map and a COCO JSON (run lengths) per image that has objects.

    The label map is for `mst_jax.prepare`. Only the COCO file keeps overlaps and names,
    so that it is the one that is restored.
    """

    def __init__(self, output_dir: Path, image_folder: ImageFolder) -> None:
        """Check that every image has output files of its own.

        Args:
            output_dir: Folder for the output files; it need not exist.
            image_folder: Folder of the images.

        Raises:
            ValueError: Two images would be saved to the same files.
        """
        self._output_dir = output_dir
        # Names that differ in their suffix only (a.png, a.jpg) collide.
        name_of_stem: dict[Path, str] = {}
        for image in image_folder.list_images():
            output_stem = self._output_stem(image.name)
            if output_stem in name_of_stem:
                raise ValueError(
                    f"{name_of_stem[output_stem]} and {image.name} would both be saved "
                    f"to {output_stem}.png; rename one"
                )
            name_of_stem[output_stem] = image.name

    def write_objects(self, export: SessionExport) -> None:
        """Save the objects of an image; earlier files of it are replaced.

        Args:
            export: Image and finished objects.
        """
        output_stem = self._output_stem(export.image_name)
        for export_format in (export_label_map, export_coco_rle):
            exported_file = export_format(export)
            atomic_write(
                output_stem.with_name(output_stem.name + exported_file.suffix),
                exported_file.data,
            )

    def read_objects(
        self, image_name: str, height: int, width: int
    ) -> list[LabeledMask]:
        """Return the saved objects of an image; an empty list if nothing was saved.

        Args:
            image_name: Path of the image relative to its folder.
            height: Height of the image in pixels.
            width: Width of the image in pixels.

        Raises:
            RequestRejected: The file is damaged, or belongs to another image.
        """
        output_stem = self._output_stem(image_name)
        path = output_stem.with_name(output_stem.name + ".json")
        if not path.exists():
            return []
        try:
            coco_tree = json.loads(path.read_bytes())
            category_names = {
                coco_category["id"]: coco_category["name"]
                for coco_category in coco_tree["categories"]
            }
            return [
                LabeledMask(
                    coco_annotation["id"],
                    category_names[coco_annotation["category_id"]],
                    coco_annotation.get("color"),
                    decode_segmentation(coco_annotation["segmentation"], height, width),
                )
                for coco_annotation in coco_tree["annotations"]
            ]
        # A saved file is never overwritten by an empty one because it cannot be read.
        except (ValueError, KeyError, TypeError) as error:
            raise RequestRejected(
                f"the saved file {path.name} is damaged or belongs to another image "
                f"({error}); move it away"
            ) from None

    def _output_stem(self, image_name: str) -> Path:
        """Return the path of the output files without their suffixes."""
        return self._output_dir / PurePosixPath(image_name).with_suffix("")
