import numpy as np
import pytest

from mst_jax.data import dataset
from mst_jax.data.builders.shapes import Shapes
from mst_jax.data.example import list_objects


def prepare(data_dir, **options):
    def make(place):
        return Shapes(data_dir=place, size=48, num_validation=2, **options)

    dataset.write_set(make, "shapes", data_dir)
    return {
        example.id: example
        for split in ("train", "validation")
        for example in dataset.open_source("shapes", data_dir, split)
    }


def test_scenes_depend_on_seed_split_and_number_alone(tmp_path):
    few = prepare(tmp_path / "few", num_train=3)
    many = prepare(tmp_path / "many", num_train=5)
    other = prepare(tmp_path / "other", num_train=3, seed=1)
    assert sorted(few) == [
        "train-000000",
        "train-000001",
        "train-000002",
        "validation-000000",
        "validation-000001",
    ]
    assert len(many) == 7
    for name, example in few.items():
        assert example.image.shape == (48, 48, 3)
        assert list_objects(example.layers)
        np.testing.assert_array_equal(example.image, many[name].image)
        np.testing.assert_array_equal(example.layers, many[name].layers)
        assert (example.image != other[name].image).any()
    images = [example.image.tobytes() for example in few.values()]
    assert len(set(images)) == 5


def test_impossible_numbers_are_refused(tmp_path):
    with pytest.raises(ValueError, match="at least 1, 1, 32 and 0"):
        Shapes(data_dir=str(tmp_path), num_train=0)
