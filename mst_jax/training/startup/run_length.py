"""The length of a training run: `steps` of a config, or computed from its `epochs`."""

import math
from collections.abc import Sequence

from ml_collections import ConfigDict

from mst_jax.config_options import call_with_options, is_number_between
from mst_jax.data.dataset import open_dataset

MAX_EPOCHS = 1e9

LENGTH_KEYS = ("steps", "epochs")
"""Keys of a config that state the length of a run; one of them is None."""


def prefer_flags(config: ConfigDict, arguments: Sequence[str]) -> None:
    """Clear `epochs` if a flag sets `steps`, and the other way round.

    Without this a flag could not shorten a run whose config file sets the other key.

    Args:
        config: Config whose values the flags have set; it is changed in place.
        arguments: Words of the command line, such as `--config.steps=10`.
    """
    flag_names = {word.partition("=")[0] for word in arguments}
    flagged_keys = [key for key in LENGTH_KEYS if f"--config.{key}" in flag_names]
    if len(flagged_keys) != 1:
        return
    for key in LENGTH_KEYS:
        if key not in flagged_keys and key in config:
            config[key] = None


def set_steps(config: ConfigDict) -> None:
    """Set `steps` of a config that has `epochs` instead.

    Args:
        config: Config of a run; `steps` is set in place, rounded up.

    Raises:
        ValueError: Both keys or none of them is set, or the dataset is not prepared.
    """
    values = config.to_dict()
    steps, epochs = (values.get(key) for key in LENGTH_KEYS)
    if epochs is None and steps is None:
        raise ValueError(
            "config.steps and config.epochs are both None; set the length of the run, "
            "such as --config.epochs=30"
        )
    if epochs is None:
        return
    if not is_number_between(epochs, 0, MAX_EPOCHS) or not epochs:
        raise ValueError(f"config.epochs is {epochs!r}, expected a number more than 0")
    data_options = values.get("data") or {}
    dataset_keys = {
        key: data_options[key]
        for key in ("name", "data_dir", "split")
        if key in data_options
    }
    num_images = call_with_options(_count_images, "config.data", **dataset_keys)
    epoch_steps = math.ceil(epochs * num_images / values["batch"])
    # A run that was read from config.json has both; other values contradict each other.
    if steps not in (None, epoch_steps):
        raise ValueError(
            f"config.steps is {steps} and config.epochs is {epochs:g}, which is "
            f"{epoch_steps} steps of {num_images} images; set one of them"
        )
    config.steps = epoch_steps


def _count_images(*, name: str, data_dir: str, split: str = "train") -> int:
    """Count the images of a split.

    Raises:
        ValueError: There is no such dataset or split.
    """
    return len(open_dataset(name, data_dir, split))
