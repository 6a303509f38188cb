"""A converted checkpoint of a tiny model that was never trained, for command tests."""

from pathlib import Path

import mst_jax
from mst_jax.checkpoints import model_folder
from tests.helpers.random_models import SMALL_SIMPLECLICK, random_params

MODEL_CONFIG = {
    **{"name": "simpleclick", "size": "tiny"},
    **SMALL_SIMPLECLICK,
    "depth": 1,
}
SMALL_CONFIG = {"model": MODEL_CONFIG, "zoom": {"size": 32, "min_side": 16}}


def write_checkpoint(folder: Path, *, config: dict = SMALL_CONFIG) -> Path:
    """Write a model with random parameters, 16-pixel patches, zoom 32."""
    params = random_params(mst_jax.build(**config["model"]))
    model_folder.write_model_folder(folder, params, config)
    return folder
