import numpy as np
import pytest
import scipy.io

from mst_jax.data.builders.sbd import Sbd
from tests.helpers.prepare_dataset import prepare_dataset
from tests.helpers.sbd_files import (
    INSTANCES,
    SPARSE_INSTANCES,
    write_instances,
    write_sbd,
)


def test_sparse_objects_are_dropped_in_both_splits(tmp_path):
    source = write_sbd(tmp_path / "benchmark_RELEASE" / "dataset")
    write_instances(source / "inst" / "2008_000008.mat", SPARSE_INSTANCES)
    splits, errors = prepare_dataset(Sbd, tmp_path, tmp_path / "data")
    assert {split: sorted(examples) for split, examples in splits.items()} == {
        "train": ["2008_000003"],
        "val": ["2008_000002", "2008_000008"],
    }
    for examples in splits.values():
        for example in examples.values():
            np.testing.assert_array_equal(example.layers, [INSTANCES])
    assert errors.skip_counts == {"objects that fill under 8 % of their box": 1}


def test_an_image_of_sparse_objects_only_is_skipped(tmp_path):
    source = write_sbd(tmp_path / "s")
    write_instances(
        source / "inst" / "2008_000008.mat",
        np.where(SPARSE_INSTANCES == 3, SPARSE_INSTANCES, 0),
    )
    splits, errors = prepare_dataset(Sbd, source, tmp_path / "data")
    assert sorted(splits["val"]) == ["2008_000002"]
    assert not errors.messages


def test_one_list_is_enough(tmp_path):
    source = write_sbd(tmp_path / "s")
    (source / "train.txt").unlink()
    splits, _ = prepare_dataset(Sbd, source, tmp_path / "data")
    assert list(splits) == ["val"]
    (source / "val.txt").unlink()
    with pytest.raises(ValueError, match=r"train.txt or .*val.txt and did not find"):
        prepare_dataset(Sbd, source, tmp_path / "data")


def test_bad_files_of_both_splits_are_in_one_list(tmp_path):
    source = write_sbd(tmp_path / "s")
    (source / "inst" / "2008_000003.mat").write_bytes(b"no mat")
    (source / "inst" / "2008_000002.mat").unlink()
    scipy.io.savemat(source / "inst" / "2008_000008.mat", {"GTcls": 1})
    with pytest.raises(ValueError, match="3 bad files") as error_info:
        prepare_dataset(Sbd, source, tmp_path / "data")
    message = str(error_info.value)
    assert "inst/2008_000003.mat: not a .mat file" in message
    assert "inst/2008_000002.mat: is missing" in message
    assert "inst/2008_000008.mat: has no variable 'GTinst'" in message
