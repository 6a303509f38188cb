"""A folder of pictures that is served: its list, thumbnails, and nothing beside it."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import NamedTuple

import cv2

from mst_jax.annotation.files.uploads import open_picture, read_header
from mst_jax.annotation.limits import Limits, Refused
from mst_jax.data.formats import images
from mst_jax.data.formats.images import PICTURE_SUFFIXES

_SIDE = 192  # of a thumbnail, pixels


class Found(NamedTuple):
    """A picture of the folder; its size is as stored, before any turning."""

    name: str
    height: int
    width: int


class PictureFolder:
    """Pictures of a folder and the folders in it; names are paths from there on."""

    def __init__(self, root: Path, limits: Limits) -> None:
        """Takes the folder.

        Raises:
            ValueError: it is not there.
        """
        if not root.is_dir():
            raise ValueError(f"--folder is {root}, expected a folder with pictures")
        self._root, self._limits = root.resolve(), limits
        self._measure = functools.lru_cache(maxsize=100_000)(self._measure)
        self._shrink = functools.lru_cache(maxsize=1000)(self._shrink)

    def pictures(self) -> list[Found]:
        """The pictures that can be opened, by name."""
        found = []
        for path in sorted(self._root.rglob("*")):
            name = path.relative_to(self._root).as_posix()
            try:
                path = self._place(name)
                found.append(Found(name, *self._measure(path, path.stat().st_mtime)))
            except (Refused, OSError):
                continue
        return found

    def read(self, name: str) -> bytes:
        """The bytes of a picture.

        Raises:
            Refused: the name leads out of the folder, or to no picture (404); the file
                is too large (413).
        """
        path = self._place(name)
        try:
            if path.stat().st_size > self._limits.body_bytes:
                raise Refused(f"the file {name} is too large to be opened", 413)
            return path.read_bytes()
        except OSError as error:
            raise Refused(f"{name} cannot be read: {error.strerror}", 404) from None

    def source(self, name: str) -> str:
        """Tells this file, as it is now, from all others; Refused as in `read`."""
        path = self._place(name)
        return f"{path} {path.stat().st_mtime_ns}"

    def thumbnail(self, name: str) -> bytes:
        """A small JPEG of a picture; Refused as in `read`, or if it is damaged."""
        path = self._place(name)
        return self._shrink(name, path.stat().st_mtime)

    def _place(self, name: str) -> Path:
        """The file of a name; whether a name leads out or nowhere cannot be told apart."""
        nothing = Refused(f"the folder has no picture {name[:200]!r}", 404)
        parts = name.split("/")
        if "\0" in name or any(part.startswith(".") or not part for part in parts):
            raise nothing
        try:
            path = (self._root / name).resolve()
            is_there = path.is_relative_to(self._root) and path.is_file()
        except (OSError, ValueError, RuntimeError):  # too long, a loop of links
            raise nothing from None
        if not is_there or path.suffix.lower() not in PICTURE_SUFFIXES:
            raise nothing
        return path

    def _measure(self, path: Path, changed: float) -> tuple[int, int]:
        with path.open("rb") as file:
            header = read_header(file, self._limits)
        return header.height, header.width

    def _shrink(self, name: str, changed: float) -> bytes:
        pixels = images.decode_picture(open_picture(self.read(name), self._limits).data)
        scale = min(1.0, _SIDE / max(pixels.shape[:2]))
        size = [max(1, round(scale * side)) for side in pixels.shape[1::-1]]
        small = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
        return images.encode_jpeg(small, quality=80)
