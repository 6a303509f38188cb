"""A tiny MST model whose masks are neither empty nor full, for browser tests."""

from pathlib import Path

import mst_jax
from mst_jax.checkpoints import model_folder
from tests.helpers.random_models import random_params

MODEL_OPTIONS = {
    **{"name": "mst", "size": "nano", "crop": 64, "depth": 2, "width": 24},
    **{"num_heads": 2, "insert_every": 1, "decoder_width": 8},
    "pyramid_widths": (8, 8, 8, 8),
}
CONFIG = {"model": MODEL_OPTIONS, "zoom": {"size": 64, "min_side": 32}}


def write_token_model(folder: Path) -> Path:
    """Write a model with random parameters whose masks cover half of the crop.

    Without the changed logits it would find no object, and nothing could be exported.
    """
    params = random_params(mst_jax.build(**MODEL_OPTIONS))
    logits = params["decoder"]["logits"]
    logits["kernel"] *= 10
    logits["bias"] += 0.508  # minus the median that its logits then have
    model_folder.write_model_folder(folder, params, CONFIG)
    return folder
