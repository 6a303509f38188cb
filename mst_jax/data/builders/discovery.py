"""Find the source folder of a dataset, and the image and mask files in it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from mst_jax.data.file_errors import ErrorCollector
from mst_jax.data.formats.images import IMAGE_SUFFIXES
from mst_jax.data.text_files import read_text_lines

_DESKTOP_FILES = {"thumbs.db", "desktop.ini"}  # written by Windows into image folders
# PNG first: a missing mask is reported with the first suffix.
_MASK_SUFFIXES = (".png", ".bmp", ".tif", ".tiff", ".jpg")


class SourceItem(NamedTuple):
    """Files of one image that is not read yet.

    Attributes:
        id: Name of the image, unique within its split.
        image_path: File of the image, or of the volume.
        mask_paths: Files with one or more layers of objects each.
    """

    id: str
    image_path: Path
    mask_paths: tuple[Path, ...]


def find_source_dir(
    source: Path,
    required_paths: Sequence[str],
    *,
    archive_folders: Sequence[str] = (),
    source_layout: str,
) -> Path:
    """Return the source, or the folder inside it to which an archive unpacks.

    Args:
        source: Folder that the user names.
        required_paths: Glob patterns of files and folders that must exist; `a|b` is
            satisfied by either.
        archive_folders: Folders inside the source, tried after the source itself.
        source_layout: What the source should hold, for the error message.

    Raises:
        ValueError: A required path is missing; the message names it and the layout.
    """
    # An archive often unpacks to a folder of its own, sometimes to a nested one.
    for candidate_dir in (source, *(source / folder for folder in archive_folders)):
        if _first_missing(candidate_dir, required_paths) is None:
            return candidate_dir
    # The error names what is missing in the source itself, not in a nested folder.
    missing_path = _first_missing(source, required_paths) or ""
    expected_paths = " or ".join(str(source / name) for name in missing_path.split("|"))
    raise ValueError(
        f"looked for {expected_paths} and did not find it; --source must hold "
        f"{source_layout}"
    )


def list_files(folder: Path, *, recursive: bool = False) -> list[Path]:
    """Return the sorted entries of a folder without hidden and desktop files.

    Args:
        folder: Folder to list.
        recursive: True to list the files of its sub-folders instead of the sub-folders;
            links to folders are not followed.
    """
    paths: list[Path] = []
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.name.lower() in _DESKTOP_FILES:
            continue
        if recursive and path.is_dir() and not path.is_symlink():
            paths += list_files(path, recursive=True)
        else:
            paths.append(path)
    return paths


def read_name_list(path: Path) -> list[str]:
    """Read the image names in a text file: the first word of each non-empty line.

    Args:
        path: Text file with one image per line.

    Returns:
        The names in their order, each once.

    Raises:
        ValueError: The file is not a text, or a name leads out of the folder.
    """
    image_names = [line.split()[0] for line in read_text_lines(path) if line]
    for image_name in image_names:
        # The names become paths, so a list from elsewhere must not reach other folders.
        if ".." in image_name or image_name.startswith("/"):
            raise ValueError(
                f"{path.name} names {image_name!r}, expected the name of an image"
            )
    # dict.fromkeys drops repeated names and keeps the order.
    return list(dict.fromkeys(image_names))


def find_by_stem(
    folder: Path,
    errors: ErrorCollector,
    *,
    suffixes: Sequence[str],
    file_type: str,
    ignored_suffixes: Sequence[str] = (),
) -> dict[str, Path]:
    """Map the stems of a folder's files to their paths.

    A file with another suffix, or with the stem of an earlier one, is recorded as an
    error.

    Args:
        folder: Folder to list.
        errors: Collects the files that cannot be used.
        suffixes: Accepted suffixes, in lower case.
        file_type: What the files are, "image" or "mask", for the error message.
        ignored_suffixes: Suffixes of files in the folder that serve another purpose.
    """
    paths_by_stem: dict[str, Path] = {}
    # Sorted, so that of two files of one stem the same is always kept.
    for path in list_files(folder):
        if path.suffix.lower() in ignored_suffixes:
            continue
        if path.suffix.lower() not in suffixes or path.is_dir():
            errors.add_error(
                path, f"not one of the {file_type} formats {', '.join(suffixes)}"
            )
        elif path.stem in paths_by_stem:
            errors.add_error(
                path, f"has the same stem as {paths_by_stem[path.stem].name}"
            )
        else:
            paths_by_stem[path.stem] = path
    return paths_by_stem


def find_pairs(
    image_folder: Path,
    mask_folder: Path,
    errors: ErrorCollector,
    *,
    image_suffixes: Sequence[str] = IMAGE_SUFFIXES,
    mask_suffixes: Sequence[str] = _MASK_SUFFIXES,
    id_prefix: str = "",
) -> list[SourceItem]:
    """Pair the images of one folder with the masks of the same stem in another.

    An image without a mask and a mask without an image are recorded as errors.

    Args:
        image_folder: Folder of the images.
        mask_folder: Folder of the masks; may be the same if the suffixes differ.
        errors: Collects the files that cannot be used.
        image_suffixes: Accepted suffixes of images, in lower case.
        mask_suffixes: Accepted suffixes of masks; a missing mask is reported with the
            first.
        id_prefix: Text put before the stem to make the id of an image.
    """
    # 1. Images and masks by stem; in a shared folder the suffix distinguishes them.
    same_folder = image_folder == mask_folder
    image_paths = find_by_stem(
        image_folder,
        errors,
        suffixes=image_suffixes,
        file_type="image",
        ignored_suffixes=mask_suffixes if same_folder else (),
    )
    mask_paths = find_by_stem(
        mask_folder,
        errors,
        suffixes=mask_suffixes,
        file_type="mask",
        ignored_suffixes=image_suffixes if same_folder else (),
    )
    # 2. Masks without an image, then images with and without a mask.
    for stem in mask_paths.keys() - image_paths.keys():
        errors.add_error(mask_paths[stem], "mask without image")
    source_items = []
    for stem, path in image_paths.items():
        if stem in mask_paths:
            source_items.append(SourceItem(id_prefix + stem, path, (mask_paths[stem],)))
        else:
            errors.add_error(
                path, f"has no mask {mask_folder.name}/{stem}{mask_suffixes[0]}"
            )
    return source_items


def _first_missing(folder: Path, required_paths: Sequence[str]) -> str | None:
    """Return the first required pattern that matches nothing in the folder."""
    for alternative_patterns in required_paths:
        if not any(
            any(folder.glob(glob_pattern))
            for glob_pattern in alternative_patterns.split("|")
        ):
            return alternative_patterns
    return None
