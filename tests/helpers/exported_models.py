"""Small models with random parameters to export, one for each recipe."""

import jax.numpy as jnp
import numpy as np
from ml_collections import FrozenConfigDict

import mst_jax
from mst_jax.models.trained_model import TrainedModel
from tests.helpers.random_models import (
    SMALL_ADAPTIVECLICK,
    SMALL_MST,
    SMALL_SIMPLECLICK,
    random_params,
)

SIDE = 64
SMALL_RECIPES = {
    "simpleclick": SMALL_SIMPLECLICK | {"depth": 4},
    "mst": SMALL_MST | {"insert_every": 1},
    "adaptiveclick": SMALL_ADAPTIVECLICK,
    "mst_adaptive": {
        key: value for key, value in SMALL_ADAPTIVECLICK.items() if key != "window"
    }
    | {"width": 24, "selection": {"score_heads": 2, "fuse_heads": 2}},
}
"""Recipe -> arguments of a small model; zoomed images have `SIDE` pixels."""


def small_model(recipe):
    """Return a model of a recipe with random parameters, with a config.

    Args:
        recipe: Key of `SMALL_RECIPES`.
    """
    model_config = {"name": recipe, **SMALL_RECIPES[recipe]}
    config = {"model": model_config, "zoom": {"size": SIDE, "min_side": 20}}
    module = mst_jax.build(**model_config)
    return TrainedModel(random_params(module), module, FrozenConfigDict(config))


def network_inputs(num_examples, num_slots=5, *, side=SIDE, seed=0):
    """Return image, clicks as rows and previous mask, as exported networks take them.

    Args:
        num_examples: Number of images.
        num_slots: Number of click slots, the last of which is empty.
        side: Height and width of the images.
        seed: Seed of the random numbers.
    """
    rng = np.random.default_rng(seed)
    clicks = np.full((num_examples, num_slots, 3), -1, np.float32)
    num_clicks = num_slots - 1
    clicks[:, :num_clicks, :2] = rng.uniform(0, side, (num_examples, num_clicks, 2))
    clicks[:, :num_clicks, 2] = rng.integers(0, 2, (num_examples, num_clicks))
    clicks[:, 0, 2] = 1
    return (
        rng.random((num_examples, side, side, 3), np.float32),
        clicks,
        rng.random((num_examples, side, side), np.float32),
    )


def pad_network_inputs(image, clicks, prev_mask, num_examples, num_slots):
    """Append examples of zeros and empty click slots, which change no other logits.

    Args:
        image: [b h w 3] RGB.
        clicks: [b k 3] row, column and label.
        prev_mask: [b h w] probability.
        num_examples: Number of examples of the result, b or more.
        num_slots: Number of its click slots, k or more.
    """
    examples = (0, num_examples - len(image))
    slots = (0, num_slots - clicks.shape[1])
    return (
        np.pad(image, (examples, (0, 0), (0, 0), (0, 0))),
        np.pad(clicks, (examples, slots, (0, 0)), constant_values=-1),
        np.pad(prev_mask, (examples, (0, 0), (0, 0))),
    )


def jax_logits(model, image, clicks, prev_mask):
    """Return the logits of the JAX model for the inputs of an exported network.

    Args:
        model: Model to call.
        image: [b h w 3] RGB.
        clicks: [b k 3] row, column and label.
        prev_mask: [b h w] probability.
    """
    unpacked = mst_jax.Clicks(
        jnp.asarray(clicks[..., :2]), jnp.asarray(clicks[..., 2], jnp.int32)
    )
    return np.asarray(model(jnp.asarray(image), unpacked, jnp.asarray(prev_mask)))


def relative_error(actual, expected):
    """Return the largest difference, relative to the largest expected number."""
    return np.abs(actual - expected).max() / np.abs(expected).max()
