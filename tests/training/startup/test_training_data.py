"""The dataset of a run is opened, never made."""

import pytest

from mst_jax.training.config import check_config
from mst_jax.training.startup.training_data import open_data
from tests.helpers.tiny_config import get_config


@pytest.mark.parametrize("name", ["grabcut", "shapes"])
def test_a_missing_data_set_is_named_and_nothing_is_drawn(tmp_path, name):
    options = check_config(get_config())
    for data_dir in (tmp_path / "empty", tmp_path / "missing"):
        if data_dir.name == "empty":
            data_dir.mkdir()
        with pytest.raises(ValueError, match=rf"mst_jax\.prepare {name}"):
            open_data(options, name=name, data_dir=str(data_dir))
    assert [path.name for path in tmp_path.rglob("*")] == ["empty"]


def test_a_bucket_is_refused_with_the_command_that_copies_it():
    options = check_config(get_config())
    with pytest.raises(
        ValueError, match=r"data_dir is gs://b/data, .*gcloud storage cp"
    ):
        open_data(options, name="shapes", data_dir="gs://b/data")
