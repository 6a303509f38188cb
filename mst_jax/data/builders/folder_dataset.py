"""Base class of the datasets that are read from a folder on disk.

A subclass declares what the folder must hold, lists the images of each split with their
mask files, and decodes the mask files to label maps. The base class reads, checks,
reports and writes.
"""

from __future__ import annotations

import abc
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeVar, runtime_checkable

import numpy as np
from jaxtyping import UInt16

from mst_jax.data import record
from mst_jax.data.builders.discovery import SourceItem, find_source_dir
from mst_jax.data.decoding.smoothed_masks import SmoothedMaskError
from mst_jax.data.example import IGNORE_LABEL
from mst_jax.data.file_errors import ErrorCollector
from mst_jax.data.formats.images import EncodedImage, read_image
from mst_jax.data.formats.label_maps import (
    decode_binary_mask,
    decode_object_mask,
    read_label_map,
)
from mst_jax.extras import needs_extra

with needs_extra("data"):
    import tensorflow_datasets as tfds

ElementT = TypeVar("ElementT")

_BINARIZED_REMARK = (
    "masks: soft edges (or JPEG); what is above half of white is read as one object"
)
_SOFT_EDGES_REMARK = (
    "masks: soft edges (or JPEG); every pixel that is not black belongs to the object, as "
    "the dataset defines it; --binarize takes those above half of white"
)


@runtime_checkable  # the tests check argument types at run time
class ProgressFn(Protocol):
    """Wraps an iterable to show how far its iteration is, as `tqdm` does."""

    def __call__(self, iterable: Iterable[ElementT], /) -> Iterable[ElementT]:
        """Return an iterable over the same elements."""
        ...


class FolderDatasetBuilder(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """TFDS builder of a dataset that is read from a folder.

    Attributes:
        DESCRIPTION: One sentence about the dataset.
        SOURCE_LAYOUT: What the folder must hold, in words.
        REQUIRED_PATHS: Files and folders that must exist, see `find_source_dir`.
        ARCHIVE_FOLDERS: Folders to which the dataset's archive unpacks, tried after
            the source itself.
        VARIANT_NAMES: Names of the dataset's variants, empty where it has none.
        ANY_VARIANT_NAME: True where the user names the variants.
        ALLOW_EMPTY_MASKS: True where images without an object are skipped and counted,
            False where they are errors.
        READS_SOFT_MASKS: True where `binarize` applies: masks with soft edges can be
            read as one object.
        source_dir: Folder that holds the required paths.
        errors: Files that were left out, complete once the dataset is written.
    """

    VERSION = tfds.core.Version("1.0.0")
    DESCRIPTION: ClassVar[str]
    SOURCE_LAYOUT: ClassVar[str]
    REQUIRED_PATHS: ClassVar[tuple[str, ...]]
    ARCHIVE_FOLDERS: ClassVar[tuple[str, ...]] = ()
    VARIANT_NAMES: ClassVar[tuple[str, ...]] = ()
    ANY_VARIANT_NAME: ClassVar[bool] = False
    ALLOW_EMPTY_MASKS: ClassVar[bool] = False
    READS_SOFT_MASKS: ClassVar[bool] = False

    def __init__(
        self,
        *,
        source: str,
        skip_bad: bool = False,
        page: int | None = None,
        binarize: bool = False,
        progress_fn: ProgressFn = iter,
        **builder_options: Any,
    ) -> None:
        """Find the source folder; nothing is read yet.

        Args:
            source: Folder that the user names.
            skip_bad: True to leave bad files out instead of raising an error.
            page: Page to read of images and masks that have several, from 1; None makes
                such files errors.
            binarize: True reads masks with soft edges as one object above half of white;
                False makes them errors, except where every pixel that is not black
                belongs to the object by the definition of the dataset.
            progress_fn: Wraps the iteration over the images of a split.
            **builder_options: Arguments of `tfds.core.GeneratorBasedBuilder`.

        Raises:
            ValueError: The source does not hold the required paths.
        """
        self.source_dir = find_source_dir(
            Path(source),
            self.REQUIRED_PATHS,
            archive_folders=self.ARCHIVE_FOLDERS,
            source_layout=self.SOURCE_LAYOUT,
        )
        self._skip_bad, self._progress = skip_bad, progress_fn
        self._page, self._binarize = page, binarize
        self.errors = ErrorCollector(self.source_dir)
        super().__init__(**builder_options)

    @abc.abstractmethod
    def find_items(self) -> Mapping[str, Sequence[SourceItem]]:
        """List the images of each split; errors of listing go to `self.errors`."""

    def read_layers(self, mask_path: Path) -> Sequence[UInt16[np.ndarray, "h w"]]:
        """Read a mask file of an image as label maps.

        The default reads one label map, see `open_label_map`.

        Args:
            mask_path: One of the mask files of an image.

        Returns:
            [h w] label maps, none if the file holds only objects that are skipped.

        Raises:
            ValueError: The file is damaged or not of the expected form.
        """
        return [self.open_label_map(mask_path)]

    def open_image(self, path: Path) -> EncodedImage:
        """Read an image with the options of the command; remarks are counted.

        Args:
            path: Path of the image file.

        Raises:
            ValueError: See `read_image`.
        """
        encoded_image = read_image(path, page=self._page)
        for remark in encoded_image.remarks:
            self.errors.count_remark(f"images: {remark}")
        return encoded_image

    def open_label_map(self, path: Path) -> UInt16[np.ndarray, "h w"]:
        """Read a label map with the options of the command; remarks are counted.

        Args:
            path: Path of the mask file.

        Raises:
            ValueError: See `read_label_map`.
        """
        try:
            return read_label_map(path, page=self._page)
        except SmoothedMaskError:
            if not self._binarize:
                raise
        self.errors.count_remark(_BINARIZED_REMARK)
        return read_label_map(path, page=self._page, binarize=True)

    def open_object_mask(self, path: Path) -> UInt16[np.ndarray, "h w"]:
        """Read the mask of one object: every pixel that is not black.

        Published masks have soft edges in some datasets, which count as published.

        Args:
            path: Path of the mask file.

        Raises:
            ValueError: See `decode_object_mask`.
        """
        data = path.read_bytes()
        try:
            mask = decode_object_mask(data, page=self._page)
        except SmoothedMaskError:
            if self._binarize:
                self.errors.count_remark(_BINARIZED_REMARK)
                mask = decode_object_mask(data, page=self._page, binarize=True)
            else:
                self.errors.count_remark(_SOFT_EDGES_REMARK)
                mask = decode_binary_mask(data, page=self._page)
        return mask.astype(np.uint16)

    def read_records(self, item: SourceItem) -> Iterator[dict[str, Any]]:
        """Yield the record of an image, or none if the image or all masks are bad."""
        # An error inside `collect_errors` is recorded, and the code after it runs.
        encoded_image, object_layers = None, []
        with self.errors.collect_errors(item.image_path):
            encoded_image = self.open_image(item.image_path)
        # The masks of a bad image are read too, so that all bad files are reported.
        for mask_path in item.mask_paths:
            with self.errors.collect_errors(mask_path):
                mask_layers = self.read_layers(mask_path)
                if encoded_image is not None:
                    check_layer_sizes(mask_layers, encoded_image)
                object_layers += self._drop_empty_layers(mask_layers)
        if encoded_image is not None and object_layers:
            yield record.encode_record(item.id, encoded_image.data, object_layers)

    def _drop_empty_layers(
        self, layers: Sequence[UInt16[np.ndarray, "h w"]]
    ) -> list[UInt16[np.ndarray, "h w"]]:
        # A mask file without any object is most often a mistake, unless declared usual.
        object_layers = [labels for labels in layers if contains_object(labels)]
        if layers and not object_layers and not self.ALLOW_EMPTY_MASKS:
            raise ValueError("has no object (every pixel is background or ignored)")
        num_empty = len(layers) - len(object_layers)
        self.errors.count_skipped("label maps without an object", num_empty)
        return object_layers

    def _info(self) -> tfds.core.DatasetInfo:
        return record.make_dataset_info(self, self.DESCRIPTION)

    def _split_generators(
        self, dl_manager: tfds.download.DownloadManager
    ) -> dict[str, Iterator[tuple[str, dict[str, Any]]]]:
        items_by_split = {
            split: self._drop_duplicate_ids(items)
            for split, items in self.find_items().items()
        }
        return {
            split: self._generate_examples(split, items_by_split)
            for split in items_by_split
        }

    def _drop_duplicate_ids(self, items: Sequence[SourceItem]) -> list[SourceItem]:
        items_by_id: dict[str, SourceItem] = {}
        # Ids are the keys of the records, which TFDS requires to be unique.
        for item in items:
            first_item = items_by_id.setdefault(item.id, item)
            if first_item is not item:
                reason = f"has the same name as {first_item.image_path}"
                self.errors.add_error(item.image_path, reason)
        return list(items_by_id.values())

    def _generate_examples(
        self, split: str, items_by_split: Mapping[str, Sequence[SourceItem]]
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        # 1. Write the good images of the split.
        num_usable = 0
        for encoded_record in self._read_split(items_by_split[split]):
            num_usable += 1
            yield encoded_record["id"], encoded_record
        # 2. Errors are raised after the last split, so that they are in one list.
        split_names = list(items_by_split)
        later_splits = split_names[split_names.index(split) + 1 :]
        if later_splits and num_usable:
            return
        # 3. TFDS stops at a split without examples: read the later splits here, only
        #    for their errors.
        for later_split in later_splits:
            for _ in self._read_split(items_by_split[later_split]):
                pass
        self.errors.raise_if_errors(skip_bad=self._skip_bad, num_usable=num_usable)

    def _read_split(self, items: Sequence[SourceItem]) -> Iterator[dict[str, Any]]:
        for item in self._progress(items):
            # One bad image does not end the reading.
            with self.errors.collect_errors(item.image_path):
                yield from self.read_records(item)


def check_layer_sizes(
    layers: Sequence[UInt16[np.ndarray, "_ _"]], encoded_image: EncodedImage
) -> None:
    """Raise a ValueError unless label maps and image are of one size."""
    for labels in layers:
        if labels.shape != (encoded_image.height, encoded_image.width):
            raise ValueError(
                f"is {labels.shape[0]}x{labels.shape[1]}, its image "
                f"{encoded_image.height}x{encoded_image.width} (height x width)"
            )


def contains_object(labels: UInt16[np.ndarray, "h w"]) -> bool:
    """Return True if any pixel is neither background nor ignored."""
    return bool(((labels > 0) & (labels < IGNORE_LABEL)).any())
