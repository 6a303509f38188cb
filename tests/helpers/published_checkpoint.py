"""Checkpoints of tiny models with random parameters, in the form of published programs."""

import functools
from pathlib import Path

import numpy as np

import mst_jax
from mst_jax.checkpoints.parameter_mapping import arrays_from_params, flatten_params
from mst_jax.models.published_mapping import published_parameter_mapping
from tests.helpers.random_models import random_params
from tests.helpers.torch_archive import (
    make_adaptiveclick_config,
    make_published_config,
    write_pth,
)

SMALL_SIZES = {
    "size": "tiny",
    "crop": 64,
    "width": 16,
    "depth": 4,
    "num_heads": 2,
    "pyramid_widths": [4, 8, 12, 16],
    "decoder_width": 8,
}
SMALL_MST = SMALL_SIZES | {"name": "mst", "insert_every": 4}
PUBLISHED_FORMS = {
    "simpleclick": {"name": "simpleclick"} | SMALL_SIZES,
    "simpleclick-14": {"name": "simpleclick"}
    | SMALL_SIZES
    | {"patch_size": 14, "crop": 56},
    "slim-448": SMALL_MST | {"release": "slim-448"},
    "448": SMALL_MST | {"release": "448", "width": 48, "insert_every": 2},
    "224": SMALL_MST | {"release": "224"},
    "1024": SMALL_MST | {"release": "1024", "insert_every": 3},
    "224-large": SMALL_MST | {"release": "224-large", "depth": 16, "insert_every": 8},
    "adaptiveclick": SMALL_SIZES
    | {
        "name": "adaptiveclick",
        "decoder_width": 32,
        "pixel_decoder": {"num_layers": 2, "num_points": 3, "mlp_hidden": 16},
        "mask_decoder": {"num_queries": 5, "num_layers": 3, "mlp_hidden": 24},
    },
}
"""Name of a published form -> arguments of `build` for a tiny model of that form."""

# Number of arrays of a form that its predictions do not use.
NUM_UNUSED_ARRAYS = {"simpleclick": 21, "simpleclick-14": 21, "adaptiveclick": 6}


def zero_arrays(shapes: dict[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    """Return arrays of zeros that take no memory."""
    return {name: np.broadcast_to(np.float32(0), s) for name, s in shapes.items()}


def published_arrays(model_config: dict, params: dict) -> dict[str, np.ndarray]:
    """Return parameters under their published names; what is never used is not 0."""
    mapping = published_parameter_mapping(model_config, mst_jax.build(**model_config))
    arrays = arrays_from_params(flatten_params(params), mapping)
    for name in mapping.unused_arrays:
        arrays[name] = arrays[name] + 9
    arrays["backbone.pos_embed"][:, 0] = 9
    return arrays


@functools.cache
def params_of_form(form: str) -> dict:
    """Return the parameters of a form, equal in every test."""
    return random_params(mst_jax.build(**PUBLISHED_FORMS[form]))


def write_published_file(folder: Path, form: str) -> tuple[Path, dict]:
    """Write a `.pth` of a form; return its path and the parameters in it."""
    model_config, params = PUBLISHED_FORMS[form], params_of_form(form)
    path = folder / f"{form}.pth"
    arrays = published_arrays(model_config, params)
    is_adaptiveclick = form == "adaptiveclick"
    make_config = (
        make_adaptiveclick_config if is_adaptiveclick else make_published_config
    )
    write_pth(path, arrays, config=make_config(model_config["num_heads"]))
    return path, params
