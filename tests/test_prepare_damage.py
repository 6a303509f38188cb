"""Damaged files through `prepare`: none brings it down, none is lost without a word."""

import pickle

import cv2
import nibabel
import numpy as np
import pytest
import scipy.io

from mst_jax.data import dataset
from mst_jax.prepare import main
from tests.helpers.image_files import write_palette

SIZE = (24, 32)
CUT, NOISE, FLIPPED, EMPTY, RESIZED = "cut", "noise", "flipped", "empty", "resized"


def draw(rng, size):
    """A smooth picture and labels 0, 1, 2."""
    coarse = rng.integers(0, 256, (4, 4, 3)).astype(np.uint8)
    image = cv2.resize(coarse, size[::-1], interpolation=cv2.INTER_LINEAR)
    labels = np.zeros(size, np.uint8)
    labels[2:10, 3:20], labels[12:20, 8:30] = 1, 2
    return image, labels


def write_encoded(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), pixels)


def write_pair(root, name, rng, size):
    """A picture of the kinds that users have, and a label map likewise."""
    image, labels = draw(rng, size)
    number = int(name[1:])
    suffix = ("jpg", "png", "bmp", "tif", "webp")[number % 5]
    picture, mask = root / "images" / f"{name}.{suffix}", root / "masks" / f"{name}.png"
    write_encoded(picture, image)
    if number % 3:
        write_encoded(mask, labels.astype((np.uint8, np.uint16)[number % 2]))
    else:
        write_palette(mask, labels)
    return picture, mask


def write_sbd(root, name, rng, size):
    image, labels = draw(rng, size)
    picture, mask = root / "img" / f"{name}.jpg", root / "inst" / f"{name}.mat"
    write_encoded(picture, image)
    mask.parent.mkdir(exist_ok=True)
    struct = {"GTinst": {"Segmentation": labels, "Categories": np.array([[1], [2]])}}
    scipy.io.savemat(mask, struct, do_compression=True)
    with (root / "val.txt").open("a") as names:
        names.write(f"{name}\n")
    return picture, mask


def write_packed(root, name, rng, size):
    image, labels = draw(rng, size)
    folder = root / "train"
    picture, mask = (
        folder / "images" / f"{name}.jpg",
        folder / "masks" / f"{name}.pickle",
    )
    write_encoded(picture, image)
    mask.parent.mkdir(exist_ok=True)
    packed = [cv2.imencode(".png", labels)[1]], [(0, 1), (0, 2)]
    mask.write_bytes(pickle.dumps(packed))
    notes = folder / "hannotation.pickle"
    tree = pickle.loads(notes.read_bytes()) if notes.exists() else {}
    tree[name] = {"num_instance_masks": 2, "hierarchy": {0: None, 1: None}}
    notes.write_bytes(pickle.dumps(tree))
    return picture, mask


def write_volumes(root, name, rng, size):
    image, labels = draw(rng, size)
    files = [root / name / f"{name}_{kind}.nii.gz" for kind in ("flair", "seg")]
    files[0].parent.mkdir(parents=True)
    for file, pixels in zip(files, (image[..., 0], labels), strict=True):
        volume = np.stack([pixels, pixels], axis=-1)
        nibabel.save(nibabel.Nifti1Image(volume, np.eye(4)), file)
    return files


def damage(path, how, rng):
    """Damages a file; RESIZED is done by whoever writes it."""
    data = bytearray(path.read_bytes())
    if how == CUT:
        data = data[: int(rng.integers(1, len(data)))]
    elif how == NOISE:
        data = bytearray(rng.bytes(int(rng.integers(1, 2000))))
    elif how == EMPTY:
        data = bytearray()
    elif how == FLIPPED:
        for at in rng.integers(0, len(data), int(rng.integers(1, 9))):
            data[at] ^= int(rng.integers(1, 256))
    path.write_bytes(bytes(data))


def write_damaged(write, root, num, rng):
    """`num` damaged pictures or masks, each beside a sound one: name -> (files, how)."""
    told = {}
    for number in range(2 * num):
        name = f"p{number}"
        files = list(write(root, name, rng, SIZE))
        how = (CUT, NOISE, FLIPPED, EMPTY, RESIZED)[number // 2 % 5] * (number % 2)
        if how:
            which = int(rng.integers(2))
            if how == RESIZED:
                aside = root.parent / "aside" / name
                files_aside = write(aside, name, rng, (SIZE[0] + 1, SIZE[1]))
                files[which].write_bytes(files_aside[which].read_bytes())
            else:
                damage(files[which], how, rng)
        told[name] = (files, how)
    return told


SETS = {
    "folder": write_pair,
    "sbd": write_sbd,
    "coco_lvis": write_packed,
    "brats": write_volumes,
}


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize(
    "num", [15, pytest.param(125, marks=pytest.mark.slow)], ids="{} files".format
)
def test_damaged_files_are_named_and_the_sound_ones_kept(name, num, tmp_path, capfd):
    rng = np.random.default_rng(num)
    root = tmp_path / "source"
    told = write_damaged(SETS[name], root, num, rng)
    argv = [name, "--source", str(root), "--data_dir", str(tmp_path / "data")]
    with pytest.raises(SystemExit) as caught:
        main(argv)
    assert caught.value.code == 2
    said = capfd.readouterr().err
    assert "bad files, repair them" in said and "Traceback" not in said
    assert dataset.list_sets(tmp_path / "data") == {}

    main([*argv, "--skip-bad"])
    left_out = capfd.readouterr().err
    (split,) = dataset.list_splits(name, tmp_path / "data")
    source = dataset.open_source(name, tmp_path / "data", split)
    found = {example.id.split("-")[0]: example for example in source}
    for stem, (files, how) in told.items():
        named = any(str(f.relative_to(root)) in left_out for f in files)
        named_before = any(str(f.relative_to(root)) in said for f in files)
        assert named == named_before
        assert named != (stem in found), (files, how)
        if not how:
            assert not named
        if how in (NOISE, EMPTY, RESIZED):
            assert named, (files, how)
        if how == CUT and not named:  # the end of the file holds nothing
            check_unharmed(found[stem])


def check_unharmed(example):
    """The labels of a cut file that was read are whole."""
    expected = draw(np.random.default_rng(0), SIZE)[1]
    assert example.layers.shape[1:] in (SIZE, SIZE[::-1])
    assert np.bincount(example.layers.ravel())[1:].sum() == (expected > 0).sum()
