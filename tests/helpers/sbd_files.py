"""Write small folders of SBD: images of 10x12 pixels, instances and lists."""

from pathlib import Path

import numpy as np
import scipy.io

from tests.helpers.image_files import write_image

INSTANCES = np.zeros((10, 12), np.uint8)
INSTANCES[1:4, 1:4], INSTANCES[5:9, 2:8] = 1, 2
SPARSE_INSTANCES = INSTANCES.copy()
SPARSE_INSTANCES[0, 11] = SPARSE_INSTANCES[9, 0] = 3  # 2 of 120 pixels of its box


def write_instances(path: Path, labels: np.ndarray) -> None:
    """Write a .mat as published: GTinst[0][0][0] is the map of the instances."""
    path.parent.mkdir(parents=True, exist_ok=True)
    boundaries = np.empty((2, 1), object)
    boundaries[:, 0] = [np.zeros((2, 2)), np.zeros((2, 2))]
    categories = np.array([[15], [2]], np.uint8)
    instance_struct = {
        "Segmentation": labels,
        "Boundaries": boundaries,
        "Categories": categories,
    }
    scipy.io.savemat(path, {"GTinst": instance_struct}, do_compression=True)
    # The published programs read it in this way.
    read_labels = scipy.io.loadmat(path)["GTinst"][0][0][0]
    np.testing.assert_array_equal(read_labels, labels)


def write_sbd(
    root: Path,
    *,
    train: tuple[str, ...] = ("2008_000003",),
    val: tuple[str, ...] = ("2008_000002", "2008_000008"),
) -> Path:
    """Write `img/`, `inst/`, `train.txt` and `val.txt`, and return their folder."""
    for split, image_names in (("train", train), ("val", val)):
        (root / "img").mkdir(parents=True, exist_ok=True)
        (root / f"{split}.txt").write_text("\n".join(image_names) + "\n")
        for image_name in image_names:
            gray_image = np.full((10, 12, 3), 90, np.uint8)
            write_image(root / "img" / f"{image_name}.jpg", gray_image)
            write_instances(root / "inst" / f"{image_name}.mat", INSTANCES)
    return root
