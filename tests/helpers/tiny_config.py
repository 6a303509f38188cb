"""The quick start's config with a model and a run that take seconds."""

import runpy
from pathlib import Path

from ml_collections import ConfigDict

QUICKSTART = Path(__file__).parents[1] / "configs" / "quickstart.py"


def get_config() -> ConfigDict:
    config = runpy.run_path(str(QUICKSTART))["get_config"]()
    config.update(
        steps=12, batch=2, crop=32, log_every=1, checkpoint_every=4, num_kept=5
    )
    with config.unlocked():
        config.model.update(depth=1, width=24, head=8, pyramid=(8, 8, 8, 8))
    config.clicks.update(max_first=2, max_rounds=2)
    config.optimizer.warmup = 2
    return config
