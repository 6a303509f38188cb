"""Images that two splits share; a part of a split is given by its limits."""

import pytest

from mst_jax.data.split_overlap import count_shared_images
from tests.helpers.tiny_run import draw_scenes


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    """Six training images, two for validation."""
    return draw_scenes(tmp_path_factory.mktemp("data"))


@pytest.mark.parametrize(
    ("first_split", "second_split", "num_shared"),
    [
        ("train", "train", 6),
        ("train", "validation", 0),
        ("train[:80%]", "train[80%:]", 0),
        ("train[:80%]", "train", 5),
        ("train[:4]", "train[2:]", 2),
        ("train[-1:]", "train[:5]", 0),
        ("train[:1]+validation", "validation+train[1:]", 2),
    ],
)
def test_shared_images_are_counted(data_dir, first_split, second_split, num_shared):
    shared = count_shared_images("shapes", data_dir, first_split, second_split)
    assert shared == num_shared


def test_an_unknown_split_is_an_error(data_dir):
    with pytest.raises(ValueError, match="test"):
        count_shared_images("shapes", data_dir, "train", "test")
