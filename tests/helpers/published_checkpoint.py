"""Checkpoints of tiny models in the published form, made of drawn parameters."""

import functools
from pathlib import Path

import numpy as np
from flax.traverse_util import flatten_dict

import mst_jax
from mst_jax.checkpoints.parameter_mapping import write_names
from mst_jax.models.detect_architecture import names_of
from tests.helpers.torch_archive import config_of, easy_config_of, write_pth
from tests.models.test_simpleclick import drawn_params

SMALL = {
    "size": "tiny",
    "crop": 64,
    "width": 16,
    "depth": 4,
    "num_heads": 2,
    "pyramid": [4, 8, 12, 16],
    "head": 8,
}
SELECTING = SMALL | {"name": "mst", "every": 4}
FORMS = {
    "simpleclick": {"name": "simpleclick"} | SMALL,
    "simpleclick-14": {"name": "simpleclick"} | SMALL | {"patch": 14, "crop": 56},
    "slim-448": SELECTING | {"release": "slim-448"},
    "448": SELECTING | {"release": "448", "width": 48, "every": 2},
    "224": SELECTING | {"release": "224"},
    "1024": SELECTING | {"release": "1024", "every": 3},
    "224-large": SELECTING | {"release": "224-large", "depth": 16, "every": 8},
    "adaptiveclick": SMALL
    | {
        "name": "adaptiveclick",
        "head": 32,
        "pixels": {"num_layers": 2, "num_points": 3, "hidden": 16},
        "queries": {"num_queries": 5, "num_layers": 3, "hidden": 24},
    },
}
NUM_IDLE = {"simpleclick": 21, "simpleclick-14": 21, "adaptiveclick": 6}


def blank(shapes: dict[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    """Arrays that take no memory."""
    return {name: np.broadcast_to(np.float32(0), s) for name, s in shapes.items()}


def published_arrays(model: dict, params: dict) -> dict[str, np.ndarray]:
    """The params by their published names; the class slot and idle arrays are not 0."""
    names = names_of(model, mst_jax.build(**model))
    arrays = write_names(flatten_dict(params, sep="/"), names)
    for name in names.unread:
        arrays[name] = arrays[name] + 9
    arrays["backbone.pos_embed"][:, 0] = 9
    return arrays


@functools.cache
def drawn(form: str) -> dict:
    """Parameters of a form, the same in every test."""
    return drawn_params(mst_jax.build(**FORMS[form]))


def write_published(folder: Path, form: str) -> tuple[Path, dict]:
    """Writes a `.pth` of a form; returns its path and the params in it."""
    model, params = FORMS[form], drawn(form)
    path = folder / f"{form}.pth"
    arrays = published_arrays(model, params)
    make_config = easy_config_of if form == "adaptiveclick" else config_of
    write_pth(path, arrays, config=make_config(model["num_heads"]))
    return path, params
