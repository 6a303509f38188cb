import numpy as np
import pytest
import scipy.io

from mst_jax.data.builders.sbd import Sbd
from tests.helpers.image_files import write_image
from tests.helpers.prepare_dataset import prepare

LABELS = np.zeros((10, 12), np.uint8)
LABELS[1:4, 1:4], LABELS[5:9, 2:8] = 1, 2
SPARSE = LABELS.copy()
SPARSE[0, 11] = SPARSE[9, 0] = 3  # 2 of 120 pixels of its box


def write_instances(path, labels):
    """A .mat as SBD has it: GTinst[0][0][0] is the map of the instances."""
    path.parent.mkdir(parents=True, exist_ok=True)
    boundaries = np.empty((2, 1), object)
    boundaries[:, 0] = [np.zeros((2, 2)), np.zeros((2, 2))]
    categories = np.array([[15], [2]], np.uint8)
    struct = {
        "Segmentation": labels,
        "Boundaries": boundaries,
        "Categories": categories,
    }
    scipy.io.savemat(path, {"GTinst": struct}, do_compression=True)
    read = scipy.io.loadmat(path)["GTinst"][0][0][0]
    np.testing.assert_array_equal(read, labels)


def write_sbd(root, *, train=("2008_000003",), val=("2008_000002", "2008_000008")):
    for split, names in (("train", train), ("val", val)):
        (root / "img").mkdir(parents=True, exist_ok=True)
        (root / f"{split}.txt").write_text("\n".join(names) + "\n")
        for name in names:
            write_image(
                root / "img" / f"{name}.jpg", np.full((10, 12, 3), 90, np.uint8)
            )
            write_instances(root / "inst" / f"{name}.mat", LABELS)
    return root


def test_splits_instances_and_sparse_objects(tmp_path):
    root = write_sbd(tmp_path / "benchmark_RELEASE" / "dataset")
    write_instances(root / "inst" / "2008_000008.mat", SPARSE)
    splits, faults = prepare(Sbd, tmp_path, tmp_path / "data")
    assert {split: sorted(found) for split, found in splits.items()} == {
        "train": ["2008_000003"],
        "val": ["2008_000002", "2008_000008"],
    }
    for found in splits.values():
        for example in found.values():
            np.testing.assert_array_equal(example.layers, [LABELS])
    assert faults.remarks == {"objects that fill under 8 % of their box": 1}


def test_a_picture_with_nothing_but_sparse_objects_is_left_out(tmp_path):
    root = write_sbd(tmp_path / "s")
    write_instances(root / "inst" / "2008_000008.mat", np.where(SPARSE == 3, SPARSE, 0))
    splits, faults = prepare(Sbd, root, tmp_path / "data")
    assert sorted(splits["val"]) == ["2008_000002"]
    assert not faults.lines


def test_one_list_will_do(tmp_path):
    root = write_sbd(tmp_path / "s")
    (root / "train.txt").unlink()
    splits, _ = prepare(Sbd, root, tmp_path / "data")
    assert list(splits) == ["val"]
    (root / "val.txt").unlink()
    with pytest.raises(ValueError, match=r"train.txt or .*val.txt and did not find"):
        prepare(Sbd, root, tmp_path / "data")


def test_bad_files_of_both_splits_stand_in_one_list(tmp_path):
    root = write_sbd(tmp_path / "s")
    (root / "inst" / "2008_000003.mat").write_bytes(b"no mat")
    (root / "inst" / "2008_000002.mat").unlink()
    scipy.io.savemat(root / "inst" / "2008_000008.mat", {"GTcls": 1})
    with pytest.raises(ValueError, match="3 bad files") as caught:
        prepare(Sbd, root, tmp_path / "data")
    said = str(caught.value)
    assert "inst/2008_000003.mat: not a .mat file" in said
    assert "inst/2008_000002.mat: is missing" in said
    assert "inst/2008_000008.mat: has no variable 'GTinst'" in said
