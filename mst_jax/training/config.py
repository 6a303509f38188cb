"""Read the config of a training run: from its file, changed by flags, checked."""

import argparse
import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from ml_collections import ConfigDict

from mst_jax.config_options import options_from_config
from mst_jax.interaction.inference_options import ZoomOptions
from mst_jax.training.optimizer import OptimizerOptions
from mst_jax.training.sharding import ShardingOptions
from mst_jax.training.startup.config_file import load_config_file
from mst_jax.training.startup.config_flags import (
    apply_change,
    split_flags,
    unknown_flags_sentence,
)
from mst_jax.training.startup.config_schema import config_schema
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

MODEL_NAME_KEY = "model.name"


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
    # Blocks that are missing or not mappings are reported by the outer check.
    values = config.to_dict()
    for name, options_class in OPTION_CLASSES.items():
        if isinstance(values.get(name), Mapping):
            block = f"config.{name}"
            values[name] = options_from_config(options_class, block, values[name])
    return options_from_config(TrainingOptions, "config", values)


def read_config(
    arguments: Sequence[str],
    *,
    reader_blocks: Mapping[str, type] | None = None,
    command_flags: Sequence[str] = ("--config",),
) -> ConfigDict:
    """Read `--config FILE[:ARGUMENT]` and changes such as `--config.steps=10`.

    Args:
        arguments: Words of the command line.
        reader_blocks: Name of a block that its reader checks -> dataclass of its keys;
            a block without one takes any key.
        command_flags: Flags of the command, for error messages.

    Returns:
        The config, not yet checked.

    Raises:
        ValueError: There is no such file, argument or key, or a value has another type.
    """
    # 1. The file.
    changes, words = split_flags(arguments)
    parser = argparse.ArgumentParser(allow_abbrev=False, add_help=False)
    parser.add_argument("--config", nargs="?")
    flags, unknown_words = parser.parse_known_args(words)
    if flags.config is None:
        raise ValueError(
            f"expected --config FILE and changes like --config.steps=10, got "
            f"{' '.join(arguments) or 'nothing'}"
        )
    config = load_config_file(flags.config)
    # 2. The keys depend on the model, so its name changes first.
    for change in changes:
        if change.key == MODEL_NAME_KEY:
            apply_change(config, change, {"model": {"name": str}})
    model = config.to_dict().get("model")
    model_name = model.get("name") if isinstance(model, Mapping) else None
    schema = config_schema(TrainingOptions, reader_blocks or {}, model_name=model_name)
    for change in changes:
        apply_change(config, change, schema)
    if unknown_words:
        raise ValueError(unknown_flags_sentence(unknown_words, schema, command_flags))
    prefer_flags(config, arguments)
    config.lock()
    return config
