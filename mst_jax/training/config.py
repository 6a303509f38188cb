"""Read the config of a training run: from its file, changed by flags, checked."""

import contextlib
import dataclasses
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from absl import flags
from ml_collections import ConfigDict, config_flags

from mst_jax.config_options import options_from_config
from mst_jax.interaction.inference_options import ZoomOptions
from mst_jax.training.optimizer import OptimizerOptions
from mst_jax.training.sharding import ShardingOptions
from mst_jax.training.startup.run_length import prefer_flags, set_steps
from mst_jax.training.train_step import ClickSimulationOptions


@dataclasses.dataclass(frozen=True)
class TrainingOptions:
    """A config with checked values; `configs/` has examples.

    Attributes:
        seed: Seed of the parameters, the data stream and the simulated clicks.
        init_from: Model whose parameters the run starts from, anything that
            `mst_jax.load` takes; None = random initialization.
        reinit: Patterns of the paths of parameters that are initialized again although
            `init_from` has them.
        teacher: Model that the loss `distillation` imitates; None without.
        steps: Number of updates.
        batch: Number of examples in a batch, on all devices together.
        grad_accum_steps: Number of microbatches of a batch; divides `batch`.
        ema_decay: Decay of the moving average of the parameters; 0 = no average.
        crop: Height and width of the training images in pixels.
        log_every: Number of steps between two logs.
        checkpoint_every: Number of steps between two checkpoints.
        keep_checkpoints: Number of newest checkpoints that are kept.
        model: Name and arguments of the model, see `models.build`.
        data: Prepared dataset and how it is read, see `data.pipeline`.
        clicks: Options of the simulated clicks.
        losses: Name -> weight, or weight and options.
        optimizer: Options of the optimizer.
        sharding: Options of sharding.
        zoom: How the trained model sees an image at inference.
        validation: Options of validation, see `evaluation.validation`.
        summaries: Options of TensorBoard and images, see `reporting`.
        epochs: Length of the run in passes over the training images; `check_config`
            computes `steps` from it. None = `steps` is set.
    """

    seed: int
    init_from: str | None
    reinit: Sequence[str]
    teacher: str | None
    steps: int
    batch: int
    grad_accum_steps: int
    ema_decay: float
    crop: int
    log_every: int
    checkpoint_every: int
    keep_checkpoints: int
    model: Mapping[str, Any]
    data: Mapping[str, Any]
    clicks: ClickSimulationOptions
    losses: Mapping[str, Any]
    optimizer: OptimizerOptions
    sharding: ShardingOptions
    zoom: ZoomOptions
    validation: Mapping[str, Any]
    summaries: Mapping[str, Any]
    epochs: float | None = None

    def __post_init__(self) -> None:
        """Check the ranges, and the values that depend on each other."""
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            # All numbers of steps, examples and pixels are at least 1.
            if field.type is int and field.name != "seed" and value < 1:
                raise ValueError(f"{field.name} is {value}, expected 1 or more")
        if self.batch % self.grad_accum_steps:
            raise ValueError(
                f"grad_accum_steps is {self.grad_accum_steps}, which does not divide "
                f"batch {self.batch}; the batch is split into equal microbatches"
            )
        if not 0 <= self.ema_decay < 1:
            raise ValueError(
                f"ema_decay is {self.ema_decay}, expected 0 (no average) to less than "
                "1, such as 0.9999"
            )
        if (self.teacher is not None) != ("distillation" in self.losses):
            raise ValueError(
                f"teacher is {self.teacher!r} and losses names "
                f"{', '.join(self.losses)}; a teacher and the loss distillation need "
                "each other"
            )
        if self.reinit and self.init_from is None:
            raise ValueError(
                f"reinit is {self.reinit}, but there is no init_from: all parameters "
                "are initialized"
            )


OPTION_CLASSES: dict[str, type] = {
    "clicks": ClickSimulationOptions,
    "optimizer": OptimizerOptions,
    "sharding": ShardingOptions,
    "zoom": ZoomOptions,
}
"""The blocks of a config that become options; the readers of the others check them."""


def check_config(config: ConfigDict) -> TrainingOptions:
    """Check a config and return its values.

    The blocks `model`, `data`, `losses`, `validation` and `summaries` are checked by
    their readers.

    Args:
        config: Config of a run, see `configs/`. If it has `epochs`, its `steps` are set
            in place.

    Returns:
        The values with their types.

    Raises:
        ValueError: An unknown or missing key, or a wrong value; the message names it.
    """
    set_steps(config)
    # Blocks that are missing or no mappings are reported by the outer check.
    values = config.to_dict()
    for name, options_class in OPTION_CLASSES.items():
        if isinstance(values.get(name), Mapping):
            block = f"config.{name}"
            values[name] = options_from_config(options_class, block, values[name])
    return options_from_config(TrainingOptions, "config", values)


def read_config(arguments: Sequence[str]) -> ConfigDict:
    """Read `--config FILE[:ARGUMENT]` and changes such as `--config.steps=10`.

    Args:
        arguments: Words of the command line.

    Returns:
        The config, not yet checked.

    Raises:
        ValueError: There is no such file or key, or a value has another type.
    """
    # A flag registry of its own: absl's global one belongs to the program.
    values = flags.FlagValues()
    command_words = ["train", *arguments]
    config_flags.DEFINE_config_file(
        "config", flag_values=values, sys_argv=command_words
    )
    try:
        with _importable_neighbors(arguments):
            unused_words, config = values(command_words)[1:], values.config
        if config is not None:
            config.keys()  # the error of an unreadable file is raised at its first use
    except (flags.Error, OSError, TypeError, ValueError) as error:
        error_text = " ".join(str(error).split())
        raise ValueError(f"the config cannot be read: {error_text}") from None
    except (AttributeError, KeyError) as error:
        # The message is a quoted sentence that begins with the quoted key.
        key_match = re.search(r"\w+", str(error))
        key = key_match[0] if key_match else str(error)
        raise ValueError(f"the config has no key {key!r}; see its file") from None
    # Words that are not flags, and a command line without --config.
    if unused_words or config is None:
        raise ValueError(
            f"expected --config FILE and changes like --config.steps=10, got "
            f"{' '.join(arguments) or 'nothing'}"
        )
    prefer_flags(config, arguments)
    return config


@contextlib.contextmanager
def _importable_neighbors(arguments: Sequence[str]) -> Iterator[None]:
    """Let a config file import the files beside it as `configs.NAME`.

    Running a file puts its folder on the path of Python, loading a config does not. So
    the parent of the config's folder is on the path while the config is loaded: the
    current folder need not be the repository.

    Args:
        arguments: Words of the command line with `--config FILE` or `--config=FILE`.
    """
    flag_prefix = "--config="
    config_files = [
        word.removeprefix(flag_prefix).split(":")[0]
        for previous_word, word in zip(["", *arguments], arguments, strict=False)
        if previous_word == "--config" or word.startswith(flag_prefix)
    ]
    # First on the path: another folder `configs` must not hide these files.
    old_path = list(sys.path)
    sys.path[:0] = [str(Path(file).resolve().parent.parent) for file in config_files]
    try:
        yield
    finally:
        sys.path[:] = old_path
