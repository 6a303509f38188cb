"""The steps of a run: given, or computed from epochs over the training images."""

from pathlib import Path

import pytest

from mst_jax.training.config import check_config, read_config
from tests.helpers.tiny_run import draw_scenes

QUICKSTART = Path(__file__).parents[3] / "configs" / "quickstart.py"


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    """Six training images."""
    return draw_scenes(tmp_path_factory.mktemp("data"))


def read(data_dir, *changes):
    """Read the config of the quick start with changes such as `epochs=3`."""
    changes = (f"data.data_dir={data_dir}", "optimizer.warmup=1", *changes)
    flags = [f"--config.{change}" for change in changes]
    return read_config(["--config", str(QUICKSTART), *flags])


@pytest.mark.parametrize(
    ("changes", "steps"),
    [
        (["epochs=4", "batch=8"], 3),  # 24 examples
        (["epochs=4.1", "batch=8"], 4),
        (["epochs=1", "batch=1", "data.split=train[:50%]"], 3),
        (["steps=5"], 5),
    ],
)
def test_steps_of_epochs(data_dir, changes, steps):
    config = read(data_dir, *changes)
    assert check_config(config).steps == config.steps == steps
    assert check_config(config).steps == steps  # a second check changes nothing


def test_a_flag_of_steps_replaces_the_epochs_of_the_file(tmp_path):
    """No dataset is needed."""
    path = QUICKSTART.with_name("finetune.py")
    flags = [f"--config.data.data_dir={tmp_path}", "--config.steps=7"]
    options = check_config(read_config(["--config", str(path), *flags]))
    assert (options.steps, options.epochs) == (7, None)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"epochs": 0.0}, "config.epochs is 0.0, expected a number more than 0"),
        ({"epochs": -1.0}, r"config.epochs is -1.0, expected"),
        ({"steps": None}, "config.steps and config.epochs are both None"),
        ({"epochs": 4.0}, "steps is 1400 and .*epochs is 4, which is 3 steps of 6"),
        (
            {"epochs": 4.0, "data.split": "train[:0%]"},
            r"split 'train\[:0%\]' of shapes, which does not exist or is empty",
        ),
        ({"epochs": 4.0, "data.name": "folder/mine"}, "'folder/mine' is not prepared"),
    ],
)
def test_a_wrong_length_is_one_sentence(data_dir, changes, sentence):
    config = read(data_dir)
    config.update_from_flattened_dict(changes)
    with pytest.raises(ValueError, match=sentence):
        check_config(config)
