"""A config of a run: read from its file, changed by flags, checked."""

import re
from collections.abc import Sequence

from absl import flags
from ml_collections import ConfigDict, config_flags

from mst_jax import config_options
from mst_jax.interaction.inference_options import choose_view

# Every key of a config and its kind; blocks go whole to the function that reads them.
KEYS = {
    "seed": int,
    "start": str,
    "fresh": tuple,
    "teacher": str,
    "steps": int,
    "batch": int,
    "accumulate": int,
    "average": float,
    "crop": int,
    "log_every": int,
    "checkpoint_every": int,
    "num_kept": int,
    "model": ConfigDict,
    "data": ConfigDict,
    "clicks": ConfigDict,
    "losses": ConfigDict,
    "optimizer": ConfigDict,
    "parallel": ConfigDict,
    "evaluation": ConfigDict,
    "validation": ConfigDict,
    "watching": ConfigDict,
}


def read_config(arguments: Sequence[str]) -> ConfigDict:
    """Reads `--config FILE[:ARGUMENT]` and changes like `--config.steps=10`.

    Raises:
        ValueError: no such file, no such key, a value of another kind.
    """
    values = flags.FlagValues()
    command = ["train", *arguments]
    config_flags.DEFINE_config_file("config", flag_values=values, sys_argv=command)
    try:
        unused, config = values(command)[1:], values.config
        if config is not None:
            config.keys()  # a file that cannot be read fails when it is asked
    except (flags.Error, OSError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"the config cannot be read: {reason}") from None
    except (AttributeError, KeyError) as error:
        # The message is a quoted sentence that begins with the quoted key.
        key = re.search(r"\w+", str(error))[0]
        raise ValueError(f"the config has no key {key!r}; see its file") from None
    if unused or config is None:
        raise ValueError(
            f"expected --config FILE and changes like --config.steps=10, got "
            f"{' '.join(arguments) or 'nothing'}"
        )
    return config


def check_config(config: ConfigDict) -> None:
    """Raises ValueError unless the config has all keys, of their kinds, in range.

    What stands in a block is checked by the function that reads it.
    """
    config_options.check_keys("the config", config, KEYS)
    for name, kind in KEYS.items():
        if not isinstance(config[name], kind):
            raise ValueError(
                f"config.{name} is {config[name]!r}, expected {kind.__name__}"
            )
    for name, kind in KEYS.items():
        if kind is int and name != "seed" and config[name] < 1:
            raise ValueError(f"config.{name} is {config[name]}, expected 1 or more")
    if config.batch % config.accumulate:
        raise ValueError(
            f"config.accumulate is {config.accumulate}, which does not divide "
            f"config.batch {config.batch}; the batch is cut into so many equal parts"
        )
    if not 0 <= config.average < 1:
        raise ValueError(
            f"config.average is {config.average}, expected 0 (none is kept) to less than "
            "1, such as 0.9999"
        )
    if bool(config.teacher) != ("distillation" in config.losses):
        raise ValueError(
            f"config.teacher is {config.teacher!r} and config.losses names "
            f"{', '.join(config.losses)}; a teacher and the loss distillation need each "
            "other"
        )
    if config.fresh and not config.start:
        raise ValueError(
            f"config.fresh is {config.fresh}, but there is no config.start: everything "
            "is fresh"
        )
    choose_view({"evaluation": config.evaluation.to_dict()})
