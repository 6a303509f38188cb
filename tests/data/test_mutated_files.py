"""Mutated files of every kind: an error of one sentence, or nothing is lost."""

import gzip
import io
import json

import cv2
import nibabel
import numpy as np
import pytest
from PIL import Image

from mst_jax.data.builders.discovery import read_name_list
from mst_jax.data.file_errors import ErrorCollector
from mst_jax.data.formats.coco import decode_objects, read_coco_images
from mst_jax.data.formats.images import decode_image, encode_png, normalize_image_data
from mst_jax.data.formats.label_maps import decode_label_map
from mst_jax.data.formats.nifti import read_slices
from tests.helpers.coco_files import PART, WHOLE, box_polygon, encode_run_lengths
from tests.helpers.image_files import SMOOTH_IMAGE
from tests.helpers.tiff_files import encode_tiff

LABELS = np.kron(
    np.array([[0, 1, 1, 0], [3, 1, 2, 2]], np.uint8), np.ones((6, 6), np.uint8)
)


def encode_with_pillow(image, format_name, **options):
    file = io.BytesIO()
    image.save(file, format_name, **options)
    return file.getvalue()


def palette_image():
    image = Image.fromarray(LABELS, "P")
    image.putpalette([0, 0, 0, 200, 0, 0, 0, 200, 0, 0, 0, 200])
    return image


def label_map_files():
    return [
        encode_png(LABELS),
        encode_png(LABELS.astype(np.uint16) * 300),
        *(encode_with_pillow(palette_image(), name) for name in ("PNG", "BMP", "TIFF")),
        encode_tiff(LABELS.astype(np.int32)),
        encode_tiff(LABELS, LABELS),
        cv2.imencode(".bmp", LABELS)[1].tobytes(),
    ]


def image_files():
    alpha = np.full((48, 48), 99, np.uint8)
    rgba = Image.fromarray(np.dstack([SMOOTH_IMAGE, alpha]))
    frames = [Image.fromarray(SMOOTH_IMAGE + np.uint8(k)) for k in (0, 9)]
    animation = {"save_all": True, "append_images": frames[1:]}
    return [
        *(encode_with_pillow(rgba, name) for name in ("PNG", "WEBP", "TIFF")),
        encode_with_pillow(frames[0], "JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0\0\0"),
        *(
            encode_with_pillow(frames[0], n, **animation)
            for n in ("PNG", "WEBP", "GIF")
        ),
        encode_png(SMOOTH_IMAGE[..., 0].astype(np.uint16) * 9),
        encode_tiff(SMOOTH_IMAGE.astype(np.float32), tags={42113: "-1"}),
        encode_tiff(SMOOTH_IMAGE[..., :2], tags={338: (1,)}),
    ]


def coco_file():
    annotations = [
        {"id": 1, "image_id": 1, "segmentation": box_polygon(WHOLE), "iscrowd": 0},
        {"id": 2, "image_id": 1, "segmentation": encode_run_lengths(PART)},
        {"id": 3, "image_id": 1, "segmentation": {"size": [20, 30], "counts": [600]}},
        {"id": 4, "image_id": 1, "segmentation": [[1, 1, 2, 2]]},
    ]
    image = {"id": 1, "file_name": "a\\b.jpg", "height": 20, "width": 30}
    return json.dumps({"images": [image], "annotations": annotations}).encode()


def volume_file(voxels, compress):
    affine = np.diag([-1.0, 1, 2, 1])
    data = nibabel.Nifti1Image(voxels, affine).to_bytes()
    if not compress:
        return data
    file = io.BytesIO()

    with gzip.GzipFile(fileobj=file, mode="wb") as gzip_file:
        gzip_file.write(data)
    return file.getvalue()


def mutate(data, rng):
    """Flip bytes, cut, repeat, blank or insert a part of a file."""
    mutated = bytearray(data)
    for _ in range(int(rng.integers(1, 4))):
        start = int(rng.integers(0, len(mutated) + 1))
        length = int(rng.integers(1, 40))
        kind = int(rng.integers(0, 6))
        if kind == 0:
            for index in rng.integers(0, max(len(mutated), 1), 3):
                if index < len(mutated):
                    mutated[index] ^= int(rng.integers(1, 256))
        elif kind == 1:
            del mutated[start:]
        elif kind == 2:
            del mutated[start : start + length]
        elif kind == 3:
            mutated[start:start] = mutated[start : start + length]
        elif kind == 4:
            part_length = len(mutated[start : start + length])
            mutated[start : start + length] = bytes(part_length)
        else:
            mutated[start:start] = rng.bytes(length)
    return bytes(mutated)


def check_label_map(rng, path):
    original = label_map_files()[int(rng.integers(8))]
    mutated = mutate(original, rng)
    labels = decode_label_map(mutated, page=1)
    assert labels.dtype == np.uint16 and labels.ndim == 2
    # Checksums: a PNG that is read has lost nothing.
    if original.startswith(b"\x89PNG"):
        np.testing.assert_array_equal(labels, decode_label_map(original))


def check_image(rng, path):
    encoded = normalize_image_data(
        mutate(image_files()[int(rng.integers(10))], rng), page=1
    )
    assert decode_image(encoded.data).shape == (encoded.height, encoded.width, 3)


def check_coco(rng, path):
    path.write_bytes(mutate(coco_file(), rng))
    errors = ErrorCollector()
    num_listed, num_masks = 0, 0
    for coco_image in read_coco_images(path, errors):
        num_listed += len(coco_image.annotations)
        masks = decode_objects(coco_image, path, errors, image_size=(20, 30))
        assert all(mask.shape == (20, 30) and mask.any() for mask in masks)
        num_masks += len(masks)
    # Every annotation is read, counted or an error.
    counts = errors.skip_counts.copy()
    counts.pop("rings of under three corners", None)
    listing_errors = [m for m in errors.messages if "annotation" not in m.split(":")[0]]
    num_errors = len(errors.messages) - len(listing_errors)
    num_left_out = sum(counts.values()) + num_errors
    content = json.loads(path.read_bytes())
    if not listing_errors:
        assert num_masks + num_left_out == len(content["annotations"])


def check_volume(rng, path):
    voxels = np.arange(5 * 4 * 3, dtype=np.int16).reshape(5, 4, 3)
    label_voxels = (voxels % 3).astype(np.uint8)
    suffix = (".nii", ".nii.gz")[int(rng.integers(2))]
    paths = [path.with_name(f"{name}{suffix}") for name in ("v", "m")]
    mutated_index = int(rng.integers(2))
    for index, (volume_path, values) in enumerate(
        zip(paths, (voxels, label_voxels), strict=True)
    ):
        file_bytes = volume_file(values, compress=suffix == ".nii.gz")
        if index == mutated_index:
            file_bytes = mutate(file_bytes, rng)
        volume_path.write_bytes(file_bytes)
    slices = list(read_slices(*paths))
    assert slices and len({item.image.shape for item in slices}) == 1
    assert all(item.image.shape == item.labels.shape for item in slices)


def check_name_list(rng, path):
    mutated = mutate(b"\xef\xbb\xbf2007_000032\r\n2007_000039 1 \r\n\r\nb\r\n", rng)
    path.write_bytes(mutated)
    names = read_name_list(path)
    # Every line that is not blank has its name in the list.
    text = mutated.decode(
        "utf-16" if mutated[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    )
    words = [line.split()[0] for line in text.splitlines() if line.split()]
    assert names == list(dict.fromkeys(words))


CHECKS = [check_label_map, check_image, check_coco, check_volume, check_name_list]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__[6:])
@pytest.mark.parametrize(
    "num_files", [60, pytest.param(2000, marks=pytest.mark.slow)], ids="{} files".format
)
def test_mutated_files_raise_one_sentence_or_lose_nothing(check, num_files, tmp_path):
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    num_errors = 0
    for seed in range(num_files):
        rng = np.random.default_rng(seed)
        try:
            check(rng, tmp_path / "a")
        except ValueError as error:
            num_errors += 1
            assert str(error), seed
    # Some mutations leave the content as it was, most do not.
    assert 0 < num_errors < num_files
