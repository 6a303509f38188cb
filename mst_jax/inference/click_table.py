"""Read the clicks on the objects of many images from a CSV file."""

import csv
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from mst_jax.data.formats import images
from mst_jax.data.formats.images import IMAGE_SUFFIXES
from mst_jax.inference.click_session import Click

REQUIRED_COLUMNS = ("image", "row", "column")
OPTIONAL_COLUMNS = ("positive", "object")

CLICK_LABELS = {"1": True, "true": True, "0": False, "false": False}
"""Texts of the column `positive` -> whether the click is on the object."""

MAX_LISTED_ERRORS = 20


class ImageClicks(NamedTuple):
    """An image and the clicks on its objects.

    Attributes:
        name: Path of the image relative to its folder, such as "a/b.jpg".
        path: Path of the image.
        size: Height and width of the image in pixels.
        objects: Number of an object -> its clicks in order; the number is None in a
            table without the column `object`.
        remarks: What was decided about the file, see `EncodedImage`.
    """

    name: str
    path: Path
    size: tuple[int, int]
    objects: dict[int | None, list[Click]]
    remarks: tuple[str, ...] = ()


class TableRow(NamedTuple):
    """A row of the table.

    Attributes:
        where: Where the row stands, such as "line 3", for error messages.
        image_name: Value of the column `image`.
        object_number: Value of the column `object`; None without it.
        click: The click.
    """

    where: str
    image_name: str
    object_number: int | None
    click: Click


def read_click_table(path: Path, image_folder: Path) -> list[ImageClicks]:
    """Read a table of clicks, and check that they lie on images.

    The columns are `image` (path relative to the folder), `row` and `column` (pixels
    from the upper left corner), and optionally `positive` (1 = on the object, the
    default; 0 = not on it) and `object` (whole number, for several objects of an image).
    Clicks are applied in the order of the rows.

    Args:
        path: CSV file with a header, separated by commas.
        image_folder: Folder of the images.

    Returns:
        Images in the order of their first rows.

    Raises:
        ValueError: The file cannot be read, or rows are wrong; the message names each.
    """
    errors: list[str] = []
    # Parsed one by one while they are checked: the errors are in the order of the rows.
    all_clicks = _check_rows(_parse_rows(path, errors), image_folder, errors)
    _raise_errors(path, "rows", errors)
    if not all_clicks:
        raise ValueError(f"{path} has no rows, expected one for each click")
    return all_clicks


def repeat_clicks(clicks: list[Click], image_folder: Path) -> list[ImageClicks]:
    """Apply the same clicks to all images of a folder and its sub-folders.

    Args:
        clicks: Clicks on one object.
        image_folder: Folder of the images.

    Returns:
        The images in the order of their names.

    Raises:
        ValueError: There is no image, or images cannot be read or do not contain the
            clicks; the message names each.
    """
    names = [
        path.relative_to(image_folder).as_posix()
        for path in sorted(image_folder.rglob("*"))
        if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file()
    ]
    if not names:
        raise ValueError(
            f"{image_folder} has no image, expected {', '.join(IMAGE_SUFFIXES)}"
        )
    rows = [TableRow("", name, None, click) for name in names for click in clicks]
    errors: list[str] = []
    all_clicks = _check_rows(rows, image_folder, errors)
    _raise_errors(image_folder, "images", errors)
    return all_clicks


def _parse_rows(path: Path, errors: list[str]) -> Iterator[TableRow]:
    """Yield the rows of a table; each wrong row appends a message to `errors`."""
    try:
        # Spreadsheets write a byte order mark.
        text_lines = path.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ValueError(f"{path} is not a text file, expected CSV in UTF-8") from None
    reader = csv.DictReader(text_lines, skipinitialspace=True)
    columns = [name.strip() for name in reader.fieldnames or ()]
    reader.fieldnames = columns
    is_known = set(columns) <= {*REQUIRED_COLUMNS, *OPTIONAL_COLUMNS}
    if not is_known or not {*REQUIRED_COLUMNS} <= set(columns):
        raise ValueError(
            f"{path} has the columns {', '.join(columns) or 'none'}; expected "
            f"{', '.join(REQUIRED_COLUMNS)} and optionally "
            f"{', '.join(OPTIONAL_COLUMNS)}, separated by commas"
        )
    for values in reader:
        where = f"line {reader.line_num}"
        try:
            yield _parse_row(where, values)
        except ValueError as error:
            errors.append(f"{where}: {error}")


def _parse_row(where: str, values: Mapping[Any, Any]) -> TableRow:
    """Parse the texts of a row; ValueError names the value that is wrong."""
    if None in values or None in values.values():
        raise ValueError("has another number of values than the header")
    texts = {name: str(text).strip() for name, text in values.items()}
    name = texts["image"]
    is_inside = name and ".." not in name.split("/") and not name.startswith("/")
    if not is_inside:
        raise ValueError(f"image is {name!r}, expected a path below the folder")
    try:
        yx = float(texts["row"]), float(texts["column"])
    except ValueError:
        raise ValueError(
            f"row, column are {texts['row']!r}, {texts['column']!r}, expected numbers"
        ) from None
    label = texts.get("positive", "1").lower()
    if label not in CLICK_LABELS:
        raise ValueError(f"positive is {label!r}, expected 1 or 0")
    number = texts.get("object")
    if number is not None and not re.fullmatch(r"\d{1,9}", number):
        raise ValueError(f"object is {number!r}, expected a whole number")
    return TableRow(
        where,
        PurePosixPath(name).as_posix(),
        None if number is None else int(number),
        Click(*yx, CLICK_LABELS[label]),
    )


def _check_rows(
    rows: Iterable[TableRow], image_folder: Path, errors: list[str]
) -> list[ImageClicks]:
    """Group rows by image and object; each wrong row appends a message to `errors`."""
    # None: an image that cannot be read, which is one error.
    tasks: dict[str, ImageClicks | None] = {}
    for row in rows:
        prefix = f"{row.where}: " if row.where else ""
        if row.image_name not in tasks:
            try:
                tasks[row.image_name] = _open_task(row.image_name, image_folder)
            except ValueError as error:
                errors.append(f"{prefix}{error}")
                tasks[row.image_name] = None
        task = tasks[row.image_name]
        if task is None:
            continue
        click, (height, width) = row.click, task.size
        # Not `>=`: NaN is rejected as well.
        if not (0 <= click.row < height and 0 <= click.column < width):
            errors.append(
                f"{prefix}row {click.row:g}, column {click.column:g} lies outside "
                f"{task.name} of {height} rows, {width} columns"
            )
        task.objects.setdefault(row.object_number, []).append(click)
    good_tasks = [task for task in tasks.values() if task is not None]
    # Without a positive click the network does not know the object.
    errors += [
        f"{task.name}{'' if number is None else f', object {number}'} has no positive "
        "click"
        for task in good_tasks
        for number, clicks in task.objects.items()
        if not any(click.is_positive for click in clicks)
    ]
    return good_tasks


def _open_task(name: str, image_folder: Path) -> ImageClicks:
    """Return an image without clicks; ValueError if it cannot be read."""
    path = image_folder / name
    try:
        encoded_image = images.read_image(path, page=1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ValueError(f"cannot read {path}: {reason}") from None
    image_size = (encoded_image.height, encoded_image.width)
    return ImageClicks(name, path, image_size, {}, encoded_image.remarks)


def _raise_errors(path: Path, noun: str, errors: list[str]) -> None:
    """Raise a ValueError that lists all errors, if there are any."""
    if not errors:
        return
    listed = errors[:MAX_LISTED_ERRORS]
    if len(errors) > len(listed):
        listed.append(f"and {len(errors) - len(listed)} more")
    raise ValueError(
        f"{path} has {len(errors)} bad {noun}, nothing was written:\n  "
        + "\n  ".join(listed)
    )
