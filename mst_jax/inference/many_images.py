"""Predict the objects of many images with one compiled program, and write files."""

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import jax
import numpy as np
from jaxtyping import Bool
from tqdm import tqdm

from mst_jax.atomic_io import atomic_write, check_writable
from mst_jax.data.formats import images
from mst_jax.inference.click_session import ClickSession
from mst_jax.inference.click_table import ImageClicks
from mst_jax.inference.device_placement import parameter_sharding
from mst_jax.inference.overlay import draw_overlay
from mst_jax.inference.predictor import Predictor
from mst_jax.interaction.inference_options import ZoomOptions
from mst_jax.interaction.padding import pad_to, padded_size
from mst_jax.interaction.zoom_predict import ClickModelFn

MAX_NAMED_MASKS = 10
"""Maximum number of empty masks that `describe_masks` names."""


def mask_path(out_dir: Path, image_name: str, object_number: int | None) -> Path:
    """Return the file of a mask: a/b.png for the image a/b.jpg, a/b_3.png for object 3.

    `prepare folder` reads these names as layers of one image.
    """
    stem = PurePosixPath(image_name).with_suffix("")
    suffix = "" if object_number is None else f"_{object_number}"
    return out_dir / f"{stem}{suffix}.png"


def overlay_path(overlay_dir: Path, image_name: str) -> Path:
    """Return the file of the overlay of an image, a JPEG."""
    return overlay_dir / PurePosixPath(image_name).with_suffix(".jpg")


def check_output_files(
    all_clicks: Sequence[ImageClicks], out_dir: Path, overlay_dir: Path | None
) -> None:
    """Check that all files can be written, and that none replaces another or an image.

    Args:
        all_clicks: Images and clicks.
        out_dir: Folder of the masks.
        overlay_dir: Folder of the overlays; None = no overlays.

    Raises:
        ValueError: A path that cannot be written or that two images share.
    """
    image_paths = {image_clicks.path.resolve() for image_clicks in all_clicks}
    name_of_output: dict[Path, str] = {}
    for image_clicks in all_clicks:
        outputs = [
            mask_path(out_dir, image_clicks.name, number)
            for number in image_clicks.objects
        ]
        if overlay_dir is not None:
            outputs.append(overlay_path(overlay_dir, image_clicks.name))
        for path in outputs:
            check_writable(path)
            if path.resolve() in image_paths:
                raise ValueError(
                    f"{path} is one of the images and would be replaced; choose another "
                    "folder"
                )
            other_name = name_of_output.setdefault(path.resolve(), image_clicks.name)
            if other_name != image_clicks.name:
                raise ValueError(
                    f"{other_name} and {image_clicks.name} would both be written to "
                    f"{path}; rename one"
                )


def predict_images(
    model: ClickModelFn,
    zoom: ZoomOptions,
    all_clicks: Sequence[ImageClicks],
    *,
    out_dir: Path,
    overlay_dir: Path | None = None,
) -> list[Path]:
    """Predict all objects and write their masks, with a progress bar.

    All images are padded to the size of the largest, so that they share one compiled
    program. The files of an image are written after all of its objects are predicted.

    Args:
        model: Model.
        zoom: Zoom and test-time augmentation. Without zoom images are not padded, and
            each size has a program.
        all_clicks: Images and clicks, checked.
        out_dir: Folder of the masks, 0 and 255.
        overlay_dir: Folder of the images with masks and clicks; None = no overlays.

    Returns:
        Files of the masks that are empty.

    Raises:
        ValueError: An image cannot be read any more.
        OSError: A file cannot be written.
    """
    predictor = Predictor(model, zoom=zoom)
    sharding = parameter_sharding(model)
    shared_size = _largest_size(all_clicks, zoom)
    empty_masks = []
    progress_bar = tqdm(all_clicks, "compiling", unit="image", dynamic_ncols=True)
    for image_clicks in progress_bar:
        pixels = images.decode_image(images.read_image(image_clicks.path, page=1).data)
        drawn, files = pixels, {}
        for number, clicks in image_clicks.objects.items():
            if shared_size is None:
                predictor.set_image(pixels)
            else:
                padded = jax.device_put(pad_to(pixels, shared_size), sharding)
                predictor.session = ClickSession.start(padded, *image_clicks.size)
            for click in clicks:
                predictor.click(*click)
            mask = predictor.mask
            path = mask_path(out_dir, image_clicks.name, number)
            files[path] = images.encode_png(mask * np.uint8(255))
            if not mask.any():
                empty_masks.append(path)
            if overlay_dir is not None:
                drawn = draw_overlay(drawn, mask, predictor.clicks)
        if overlay_dir is not None:
            path = overlay_path(overlay_dir, image_clicks.name)
            files[path] = images.encode_jpeg(drawn)
        for path, data in files.items():
            atomic_write(path, data)
        # The first click compiled the program.
        progress_bar.set_description("predicting", refresh=False)
    return empty_masks


def describe_masks(
    all_clicks: Sequence[ImageClicks], empty_masks: Sequence[Path]
) -> str:
    """Describe the number of masks, and name the first empty ones."""
    num_masks = sum(len(image_clicks.objects) for image_clicks in all_clicks)
    text = f"{num_masks} masks of {len(all_clicks)} images"
    if empty_masks:
        names = ", ".join(path.name for path in empty_masks[:MAX_NAMED_MASKS])
        text += f"; nothing found in {len(empty_masks)}, add clicks: {names}"
    return text


def _largest_size(
    all_clicks: Sequence[ImageClicks], zoom: ZoomOptions
) -> tuple[int, int] | None:
    """Return the padded height and width that hold every image; None without zoom."""
    if zoom.size is None:
        return None
    padded_sizes = [
        padded_size(*image_clicks.size, zoom_size=zoom.size)
        for image_clicks in all_clicks
    ]
    heights, widths = zip(*padded_sizes, strict=True)
    return max(heights), max(widths)


def describe_mask(mask: Bool[np.ndarray, "h w"]) -> str:
    """Describe the size and the place of a mask in a few words."""
    height, width = mask.shape
    if not mask.any():
        return f"nothing found in {height} rows, {width} columns; add a click"
    rows, columns = mask.nonzero()
    return (
        f"{mask.mean():.1%} of the image, rows {rows.min()} to {rows.max()}, "
        f"columns {columns.min()} to {columns.max()}"
    )
