import numpy as np
import pytest

from mst_jax.data import dataset
from mst_jax.data.builders.shapes import Shapes
from mst_jax.data.example import list_objects


def prepare_shapes(data_dir, **builder_options):
    def make_builder(staging_dir):
        return Shapes(
            data_dir=staging_dir, size=48, num_validation=2, **builder_options
        )

    dataset.write_dataset(make_builder, "shapes", data_dir)
    return {
        example.id: example
        for split in ("train", "validation")
        for example in dataset.open_dataset("shapes", data_dir, split)
    }


def test_scenes_depend_on_seed_split_and_index_only(tmp_path):
    few_examples = prepare_shapes(tmp_path / "few", num_train=3)
    many_examples = prepare_shapes(tmp_path / "many", num_train=5)
    other_seed = prepare_shapes(tmp_path / "other", num_train=3, seed=1)
    assert sorted(few_examples) == [
        "train-000000",
        "train-000001",
        "train-000002",
        "validation-000000",
        "validation-000001",
    ]
    assert len(many_examples) == 7
    for image_id, example in few_examples.items():
        assert example.image.shape == (48, 48, 3)
        assert list_objects(example.layers)
        np.testing.assert_array_equal(example.image, many_examples[image_id].image)
        np.testing.assert_array_equal(example.layers, many_examples[image_id].layers)
        assert (example.image != other_seed[image_id].image).any()
    image_bytes = [example.image.tobytes() for example in few_examples.values()]
    assert len(set(image_bytes)) == 5


def test_numbers_below_their_minimum_raise(tmp_path):
    with pytest.raises(ValueError, match="at least 1, 1, 32 and 0"):
        Shapes(data_dir=str(tmp_path), num_train=0)
