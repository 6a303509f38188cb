"""The folder of images that the server offers: file list, bytes and thumbnails."""

import functools
import os
from pathlib import Path, PurePosixPath

from mst_jax.annotation.errors import RequestRejected
from mst_jax.annotation.files.uploads import (
    make_thumbnail,
    open_image,
    read_image_header,
)
from mst_jax.annotation.limits import Limits
from mst_jax.data.formats.images import IMAGE_SUFFIXES, EncodedImage


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
        self._cached_thumbnail = functools.lru_cache(maxsize=1000)(self._make_thumbnail)
        # A page reads an image several times while it opens it.
        self._cached_image = functools.lru_cache(maxsize=4)(self._decode_file)

    def list_files(self) -> dict[str, int]:
        """Return name -> modification time in nanoseconds of all image files.

        Hidden files and links that lead out of the folder are left out; whether a file
        is an image is not checked.
        """
        modified_times: dict[str, int] = {}
        pending_dirs = [self._root]
        while pending_dirs:
            # `os.scandir` needs no further call to the system for most entries.
            with os.scandir(pending_dirs.pop()) as entries:
                for entry in entries:
                    path, is_link = Path(entry.path), entry.is_symlink()
                    if entry.name.startswith("."):
                        continue
                    if entry.is_dir(follow_symlinks=False):
                        pending_dirs.append(path)
                    elif path.suffix.lower() in IMAGE_SUFFIXES and (
                        not is_link or self._is_inside(path)
                    ):
                        name = path.relative_to(self._root).as_posix()
                        modified_times[name] = entry.stat().st_mtime_ns
        return modified_times

    def measure(self, name: str) -> tuple[int, int]:
        """Return height and width of an image before the EXIF rotation.

        Args:
            name: Path relative to the folder.

        Raises:
            RequestRejected: As in `read_file`; or no image of an accepted format (415).
        """
        path = self._resolve_path(name)
        with path.open("rb") as file:
            image_header = read_image_header(file, self._limits)
        return image_header.height, image_header.width

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

    def read_image(self, name: str) -> EncodedImage:
        """Return an image as 8-bit RGB, rotated as its EXIF data demand.

        Args:
            name: Path relative to the folder.

        Raises:
            RequestRejected: As in `read_file`; or the image is damaged (415) or too
                large (413).
        """
        path = self._resolve_path(name)
        return self._cached_image(name, path.stat().st_mtime_ns)

    def list_siblings(self, name: str) -> list[str]:
        """Return the names of all images in the sub-folder of an image.

        Args:
            name: Path relative to the folder.
        """
        self._resolve_path(name)
        prefix = PurePosixPath(name).parent
        return [
            (prefix / path.name).as_posix()
            for path in (self._root / prefix).iterdir()
            if path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".")
        ]

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

    def _is_inside(self, path: Path) -> bool:
        """Return True if a link ends inside the folder."""
        try:
            target = path.resolve()
            return target.is_relative_to(self._root) and target.is_file()
        except (OSError, RuntimeError):  # a loop of links
            return False

    def _decode_file(self, name: str, modified_time: int) -> EncodedImage:
        return open_image(self.read_file(name), self._limits)

    def _make_thumbnail(self, name: str, modified_time: float) -> bytes:
        return make_thumbnail(self._decode_file(name, 0).data)
