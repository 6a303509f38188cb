"""The config of the quick start with a model and a run that take seconds."""

import runpy
from pathlib import Path

from ml_collections import ConfigDict

QUICKSTART = Path(__file__).parents[2] / "configs" / "quickstart.py"


def get_config() -> ConfigDict:
    """Return the config; the training command also reads this file."""
    config = runpy.run_path(str(QUICKSTART))["get_config"]()
    config.update(
        steps=12, batch=2, crop=32, log_every=1, checkpoint_every=4, keep_checkpoints=5
    )
    with config.unlocked():
        config.model.update(
            depth=1, width=24, decoder_width=8, pyramid_widths=(8, 8, 8, 8)
        )
    config.clicks.update(max_initial=2, max_rounds=2)
    config.optimizer.warmup = 2
    return config


def config_with_teacher(path: Path) -> ConfigDict:
    """Return the config with the loss of distillation from a model."""
    config = get_config()
    with config.unlocked():
        config.losses = dict(distillation=1.0)
        config.teacher = str(path)
    return config
