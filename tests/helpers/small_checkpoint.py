"""A checkpoint of a tiny model that was never trained, for tests of the commands."""

from pathlib import Path

import mst_jax
from mst_jax.checkpoints import store
from tests.models.test_simpleclick import SMALL, drawn_params

MODEL = {"name": "simpleclick", "size": "tiny", **SMALL, "depth": 4}
CONFIG = {"model": MODEL, "evaluation": {"zoom": 32, "zoom_min_side": 16}}


def write_checkpoint(folder: Path, *, config: dict = CONFIG) -> Path:
    """Writes a model whose parameters are drawn, 16-pixel patches, zoom 32."""
    params = drawn_params(mst_jax.build(**config["model"]))
    store.write_model(folder, params, config)
    return folder
