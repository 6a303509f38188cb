"""The folder of images that the server offers: file list, bytes and thumbnails."""

import functools
from pathlib import Path
from typing import NamedTuple

import cv2

from mst_jax.annotation.errors import RequestRejected
from mst_jax.annotation.files.uploads import open_image, read_image_header
from mst_jax.annotation.limits import Limits
from mst_jax.data.formats import images
from mst_jax.data.formats.images import IMAGE_SUFFIXES

_THUMBNAIL_SIDE = 192  # pixels


class FolderImage(NamedTuple):
    """An image file of the folder.

    Attributes:
        name: Path relative to the folder, with "/" as separator.
        height: Height in pixels as stored, before the EXIF rotation.
        width: Width in pixels as stored, before the EXIF rotation.
    """

    name: str
    height: int
    width: int


class ImageFolder:
    """Images of a folder and its sub-folders, by their paths relative to it."""

    def __init__(self, root_dir: Path, limits: Limits) -> None:
        """Open a folder.

        Args:
            root_dir: Folder with images.
            limits: Maximum size of a file and of an image.

        Raises:
            ValueError: The folder does not exist.
        """
        if not root_dir.is_dir():
            raise ValueError(f"--folder is {root_dir}, expected a folder with images")
        self._root, self._limits = root_dir.resolve(), limits
        # Caches of this object, not of the class. Their keys hold the modification
        # time, so that a changed file is read again.
        self._cached_size = functools.lru_cache(maxsize=100_000)(self._read_size)
        self._cached_thumbnail = functools.lru_cache(maxsize=1000)(self._make_thumbnail)

    def list_images(self) -> list[FolderImage]:
        """Return the images that can be opened, sorted by name."""
        listed_images = []
        # Sorted by path, so that the order does not depend on the file system.
        for path in sorted(self._root.rglob("*")):
            name = path.relative_to(self._root).as_posix()
            try:
                path = self._resolve_path(name)
                size = self._cached_size(path, path.stat().st_mtime)
            except (RequestRejected, OSError):  # no image, damaged or just deleted
                continue
            listed_images.append(FolderImage(name, *size))
        return listed_images

    def read_file(self, name: str) -> bytes:
        """Return the bytes of an image file.

        Args:
            name: Path relative to the folder.

        Raises:
            RequestRejected: The name leads out of the folder or to no image (404); the
                file is too large (413).
        """
        path = self._resolve_path(name)
        # Measured before it is read; the file may vanish at any time.
        try:
            if path.stat().st_size > self._limits.max_body_bytes:
                raise RequestRejected(f"the file {name} is too large to be opened", 413)
            return path.read_bytes()
        except OSError as error:
            raise RequestRejected(
                f"{name} cannot be read: {error.strerror}", 404
            ) from None

    def source_key(self, name: str) -> str:
        """Return a text that identifies a file in its present version.

        Args:
            name: Path relative to the folder.

        Raises:
            RequestRejected: As in `read_file`.
        """
        path = self._resolve_path(name)
        return f"{path} {path.stat().st_mtime_ns}"

    def thumbnail(self, name: str) -> bytes:
        """Return a small JPEG of an image.

        Args:
            name: Path relative to the folder.

        Raises:
            RequestRejected: As in `read_file`; or the image is damaged (415).
        """
        path = self._resolve_path(name)
        return self._cached_thumbnail(name, path.stat().st_mtime)

    def _resolve_path(self, name: str) -> Path:
        """Return the file of a name.

        The error is the same whether the name leads out of the folder or nowhere, so
        that it does not reveal which files exist outside.
        """
        not_found = RequestRejected(f"the folder has no image {name[:200]!r}", 404)
        # 1. Hidden files, "..", absolute paths and empty parts are rejected by text.
        name_parts = name.split("/")
        if "\0" in name or any(
            name_part.startswith(".") or not name_part for name_part in name_parts
        ):
            raise not_found
        # 2. Symbolic links are followed, and must end inside the folder.
        try:
            path = (self._root / name).resolve()
            is_inside = path.is_relative_to(self._root) and path.is_file()
        except (OSError, ValueError, RuntimeError):  # name too long, or a loop of links
            raise not_found from None
        if not is_inside or path.suffix.lower() not in IMAGE_SUFFIXES:
            raise not_found
        return path

    def _read_size(self, path: Path, modified_time: float) -> tuple[int, int]:
        with path.open("rb") as file:
            image_header = read_image_header(file, self._limits)
        return image_header.height, image_header.width

    def _make_thumbnail(self, name: str, modified_time: float) -> bytes:
        encoded_image = open_image(self.read_file(name), self._limits)
        pixels = images.decode_image(encoded_image.data)
        # Small images keep their size, others are scaled without distortion.
        resize_scale = min(1.0, _THUMBNAIL_SIDE / max(pixels.shape[:2]))
        thumbnail_size = [
            max(1, round(resize_scale * side)) for side in pixels.shape[1::-1]
        ]
        thumbnail = cv2.resize(pixels, thumbnail_size, interpolation=cv2.INTER_AREA)
        return images.encode_jpeg(thumbnail, quality=80)
