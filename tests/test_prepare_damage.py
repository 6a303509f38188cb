"""Damaged files through `prepare`: each is reported, none ends the command early."""

import pickle

import cv2
import nibabel
import numpy as np
import pytest
import scipy.io

from mst_jax.data import dataset
from mst_jax.prepare import main
from tests.helpers.image_files import write_palette_png

IMAGE_SIZE = (24, 32)
DAMAGE_TYPES = ("truncated", "noise", "flipped", "empty", "resized")
TRUNCATED, NOISE, FLIPPED, EMPTY, RESIZED = DAMAGE_TYPES


def draw_image(rng, image_size):
    """Return a smooth image and a label map with the labels 0, 1, 2."""
    coarse_image = rng.integers(0, 256, (4, 4, 3)).astype(np.uint8)
    image = cv2.resize(coarse_image, image_size[::-1], interpolation=cv2.INTER_LINEAR)
    labels = np.zeros(image_size, np.uint8)
    labels[2:10, 3:20], labels[12:20, 8:30] = 1, 2
    return image, labels


def write_pixels(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), pixels)


def write_folder_item(root, name, rng, image_size):
    """Write an image and a label map in the formats that users have, in turn."""
    image, labels = draw_image(rng, image_size)
    index = int(name[1:])
    suffix = ("jpg", "png", "bmp", "tif", "webp")[index % 5]
    image_path = root / "images" / f"{name}.{suffix}"
    mask_path = root / "masks" / f"{name}.png"
    write_pixels(image_path, image)
    if index % 3:
        write_pixels(mask_path, labels.astype((np.uint8, np.uint16)[index % 2]))
    else:
        write_palette_png(mask_path, labels)
    return image_path, mask_path


def write_sbd_item(root, name, rng, image_size):
    image, labels = draw_image(rng, image_size)
    image_path = root / "img" / f"{name}.jpg"
    mask_path = root / "inst" / f"{name}.mat"
    write_pixels(image_path, image)
    mask_path.parent.mkdir(exist_ok=True)
    categories = np.array([[1], [2]])
    mat_content = {"GTinst": {"Segmentation": labels, "Categories": categories}}
    scipy.io.savemat(mask_path, mat_content, do_compression=True)
    with (root / "val.txt").open("a") as list_file:
        list_file.write(f"{name}\n")
    return image_path, mask_path


def write_ritm_item(root, name, rng, image_size):
    image, labels = draw_image(rng, image_size)
    split_folder = root / "train"
    image_path = split_folder / "images" / f"{name}.jpg"
    mask_path = split_folder / "masks" / f"{name}.pickle"
    write_pixels(image_path, image)
    mask_path.parent.mkdir(exist_ok=True)
    ritm_masks = [cv2.imencode(".png", labels)[1]], [(0, 1), (0, 2)]
    mask_path.write_bytes(pickle.dumps(ritm_masks))
    # One annotation file lists all images of the split.
    annotation_path = split_folder / "hannotation.pickle"
    annotations = {}
    if annotation_path.exists():
        annotations = pickle.loads(annotation_path.read_bytes())
    annotations[name] = {"num_instance_masks": 2, "hierarchy": {0: None, 1: None}}
    annotation_path.write_bytes(pickle.dumps(annotations))
    return image_path, mask_path


def write_volume_item(root, name, rng, image_size):
    image, labels = draw_image(rng, image_size)
    volume_paths = [
        root / name / f"{name}_{volume_type}.nii.gz" for volume_type in ("flair", "seg")
    ]
    volume_paths[0].parent.mkdir(parents=True)
    for path, pixels in zip(volume_paths, (image[..., 0], labels), strict=True):
        voxels = np.stack([pixels, pixels], axis=-1)
        nibabel.save(nibabel.Nifti1Image(voxels, np.eye(4)), path)
    return volume_paths


def damage_file(path, damage_type, rng):
    """Damage a file; RESIZED is done by `write_items`."""
    file_bytes = bytearray(path.read_bytes())
    if damage_type == TRUNCATED:
        file_bytes = file_bytes[: int(rng.integers(1, len(file_bytes)))]
    elif damage_type == NOISE:
        file_bytes = bytearray(rng.bytes(int(rng.integers(1, 2000))))
    elif damage_type == EMPTY:
        file_bytes = bytearray()
    elif damage_type == FLIPPED:
        num_flipped = int(rng.integers(1, 9))
        for byte_index in rng.integers(0, len(file_bytes), num_flipped):
            file_bytes[byte_index] ^= int(rng.integers(1, 256))
    path.write_bytes(bytes(file_bytes))


def write_items(write_item, root, num_damaged, rng):
    """Write intact and damaged items in turn.

    Returns:
        Name of each item -> its image and mask file, and the type of damage, "" for none.
    """
    items = {}
    for index in range(2 * num_damaged):
        name = f"p{index}"
        paths = list(write_item(root, name, rng, IMAGE_SIZE))
        damage_type = DAMAGE_TYPES[index // 2 % 5] * (index % 2)
        if damage_type:
            damaged_index = int(rng.integers(2))
            if damage_type == RESIZED:
                # The other file of the pair keeps the size.
                other_root = root.parent / "resized" / name
                other_size = (IMAGE_SIZE[0] + 1, IMAGE_SIZE[1])
                other_paths = write_item(other_root, name, rng, other_size)
                paths[damaged_index].write_bytes(
                    other_paths[damaged_index].read_bytes()
                )
            else:
                damage_file(paths[damaged_index], damage_type, rng)
        items[name] = (paths, damage_type)
    return items


ITEM_WRITERS = {
    "folder": write_folder_item,
    "sbd": write_sbd_item,
    "coco_lvis": write_ritm_item,
    "brats": write_volume_item,
}


@pytest.mark.parametrize("name", ITEM_WRITERS)
@pytest.mark.parametrize(
    "num_damaged",
    [15, pytest.param(125, marks=pytest.mark.slow)],
    ids="{} files".format,
)
def test_damaged_files_are_reported_and_intact_ones_are_read(
    name, num_damaged, tmp_path, capfd
):
    rng = np.random.default_rng(num_damaged)
    root = tmp_path / "source"
    items = write_items(ITEM_WRITERS[name], root, num_damaged, rng)
    argv = [name, "--source", str(root), "--data-dir", str(tmp_path / "data")]
    with pytest.raises(SystemExit) as error_info:
        main(argv)
    assert error_info.value.code == 2
    error_message = capfd.readouterr().err
    assert "bad files, repair them" in error_message
    assert "Traceback" not in error_message
    assert dataset.list_datasets(tmp_path / "data") == {}

    main([*argv, "--skip-bad"])
    skip_report = capfd.readouterr().err
    (split,) = dataset.list_splits(name, tmp_path / "data")
    prepared = dataset.open_dataset(name, tmp_path / "data", split)
    # The slices of a volume have the ids NAME-000, NAME-001.
    examples = {example.id.split("-")[0]: example for example in prepared}
    for item_name, (paths, damage_type) in items.items():
        relative_paths = [str(path.relative_to(root)) for path in paths]
        is_reported = any(path in skip_report for path in relative_paths)
        assert is_reported == any(path in error_message for path in relative_paths)
        assert is_reported != (item_name in examples), (paths, damage_type)
        if not damage_type:
            assert not is_reported
        if damage_type in (NOISE, EMPTY, RESIZED):
            assert is_reported, (paths, damage_type)
        if damage_type == TRUNCATED and not is_reported:
            # What was cut off the end of the file was not needed.
            check_complete_labels(examples[item_name])


def check_complete_labels(example):
    expected_labels = draw_image(np.random.default_rng(0), IMAGE_SIZE)[1]
    assert example.layers.shape[1:] in (IMAGE_SIZE, IMAGE_SIZE[::-1])
    num_object_pixels = np.bincount(example.layers.ravel())[1:].sum()
    assert num_object_pixels == (expected_labels > 0).sum()
