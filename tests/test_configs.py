"""Every config builds and its step traces; no accelerator, no data."""

from pathlib import Path

import jax
import jax.numpy as jnp
import pytest
from flax.traverse_util import flatten_dict, unflatten_dict

import mst_jax
from mst_jax.data.pipeline import pipeline_options_from_config
from mst_jax.models.build import build
from mst_jax.models.load import parameter_shapes
from mst_jax.path_rules import any_matches
from mst_jax.structs import Batch
from mst_jax.training.config import check_config, read_config
from mst_jax.training.training_run import build_run

FOLDER = Path(__file__).parents[1] / "configs"

# Files that the configs import.
SHARED_FILES = ("__init__", "defaults", "published")
CONFIGS = sorted(path for path in FOLDER.glob("*.py") if path.stem not in SHARED_FILES)

OTHER_MODELS = ("mst", "adaptiveclick", "mst_adaptive")
OBJECT_LOSSES = ("adaptive", "bce+dice", "scores")
ARGUMENTS = [
    *(path.stem for path in CONFIGS),
    "objects:model=mst_adaptive",  # has the parts of the other models
    "coco_lvis:release=224",
    *(
        pytest.param(f"{name}:{argument}", marks=pytest.mark.slow)
        for name, argument in (
            *(("objects", f"model={model}") for model in ("mst", "adaptiveclick")),
            *(("objects", f"model=mst,loss={loss}") for loss in OBJECT_LOSSES),
            *(("sbd", f"model={model}") for model in OTHER_MODELS),
            *(("coco_lvis", f"model={model}") for model in OTHER_MODELS),
            *(("coco_lvis", f"release={release}") for release in ("448", "224-large")),
        )
    ),
]


def read(argument, *changes):
    """Read a config by the stem of its file, with or without an argument."""
    stem, colon, rest = argument.partition(":")
    config = read_config(["--config", f"{FOLDER / stem}.py{colon}{rest}", *changes])
    # `epochs` needs the dataset.
    if config.epochs:
        config.update(steps=100, epochs=None)
    return config


def batch_shapes(batch_size, side):
    """Return the shapes of a batch."""
    shape = (batch_size, side, side)
    pixels = jax.ShapeDtypeStruct(shape, jnp.bool_)
    image = jax.ShapeDtypeStruct((*shape, 3), jnp.uint8)
    return Batch(image, pixels, pixels, pixels)


def trace_step(config):
    """Return the first state, that after a step and the metrics; nothing is compiled."""
    runs = []

    def build_state():
        runs.append(build_run(config))
        return runs[0].state

    state = jax.eval_shape(build_state)
    batch = batch_shapes(config.batch, config.crop)
    return state, *jax.eval_shape(runs[0].train_step, state, batch)


def test_there_are_configs():
    assert {"quickstart", "objects", "sbd"} < {path.stem for path in CONFIGS}


@pytest.mark.parametrize("argument", ARGUMENTS)
def test_every_config_builds_and_its_step_traces(argument):
    config = read(argument)
    # Smaller where only size matters, so that tracing is all that is done.
    config.update(batch=2 * config.grad_accum_steps, crop=64)
    with config.unlocked():
        config.model.update(depth=1, width=24, num_heads=3, decoder_width=32)
        if config.model.name in ("mst", "mst_adaptive"):
            config.model.insert_every = 1
            config.model.selection = dict(score_heads=2, fuse_heads=2)
        if config.model.name in ("adaptiveclick", "mst_adaptive"):
            config.model.pixel_decoder = dict(num_layers=1)
            config.model.mask_decoder = dict(num_layers=1)
    state, new_state, metrics = trace_step(config)
    assert jax.tree.structure(new_state) == jax.tree.structure(state)
    assert metrics["loss"].shape == ()


@pytest.mark.parametrize(
    ("argument", "expected"),
    [
        ("model=mst", {"normalized_focal": 1.0}),
        ("model=mst,loss=adaptive", {"adaptive_focal": 1.0}),
        ("model=simpleclick,loss=bce+dice", {"bce": 1.0, "dice": 1.0}),
        ("model=mst,loss=scores", {}),
        ("size=tiny,loss=distillation", {"distillation": 1.0}),
    ],
)
def test_the_mask_loss_of_a_folder_of_images(argument, expected):
    losses = read(f"objects:{argument}").losses
    token_losses = ("token_contrast", "token_score") if "mst" in argument else ()
    mask_losses = {name: losses[name] for name in losses if name not in token_losses}
    assert mask_losses == expected


def test_the_loss_of_scores_trains_the_scores_only():
    config = read("objects:model=mst,loss=scores")
    paths = {
        f"backbone/insertions_0/{name}": 0
        for name in ("score/mlp/out/bias", "score/norm_grid/norm/scale", "gamma")
    } | {"backbone/block0/mlp/out/bias": 0, "embed/positions": 0}
    is_frozen = any_matches(
        config.optimizer.frozen, unflatten_dict(paths, sep="/"), block=""
    )
    trained = [
        path for path, stop in flatten_dict(is_frozen, sep="/").items() if not stop
    ]
    assert sorted(trained) == sorted(path for path in paths if "/score/" in path)


@pytest.mark.parametrize(
    "argument",
    [
        "model=mst,loss=bce+no",
        "model=adaptiveclick,loss=dice",
        "model=simpleclick,loss=scores",
    ],
)
def test_an_impossible_mask_loss_is_refused(argument):
    with pytest.raises(ValueError, match=r"has no loss .*; leave it out, or"):
        read(f"objects:{argument}")


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_blocks_have_known_keys_and_fitting_values(path):
    config = read(path.stem)
    options = check_config(config)
    assert build(**options.model).embed.width >= 16
    data_options = dict(options.data)
    for key in ("name", "data_dir", "split"):
        del data_options[key]
    assert pipeline_options_from_config(data_options).num_workers >= 0
    assert set(config.zoom) == {"size", "min_side"}
    assert options.checkpoint_every % options.log_every == 0


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_shared_values_follow_the_keys_that_they_refer_to(path):
    config = read(path.stem, "--config.crop=64")
    assert config.zoom.size == config.model.crop == 64
    config.data.data_dir = "elsewhere"
    assert config.validation.data_dir == "elsewhere"


COCO_LVIS, MST = ((0.75, 1.4), 0.25), ((0.5, 1.5), 0.3)


@pytest.mark.parametrize(
    ("argument", "crop", "augmentation", "weight"),
    [
        ("model=mst", 448, MST, 1.0),
        ("release=448", 448, MST, 1.0),
        ("release=224", 224, COCO_LVIS, 1e-3),
        ("release=224-large,size=large", 224, COCO_LVIS, 1.0),
        ("model=mst_adaptive", 448, MST, 1.0),
        ("model=simpleclick", 448, COCO_LVIS, None),
        ("model=simpleclick,release=224", 448, COCO_LVIS, None),
        ("model=adaptiveclick", 448, COCO_LVIS, None),
    ],
)
def test_coco_lvis_has_the_published_values_of_each_model(
    argument, crop, augmentation, weight
):
    config = read(f"coco_lvis:{argument}")
    assert config.crop == config.model.crop == config.zoom.size == crop
    block = config.data.augmentation
    assert (tuple(block.scale), block.brightness) == augmentation
    assert block.get("symmetry", "mirror") == "mirror"
    assert config.losses.get("token_contrast") == weight
    squared = {"weight": weight, "form": "squared"} if crop == 224 else weight
    score = config.losses.get("token_score")
    assert (score.to_dict() if crop == 224 else score) == squared
    keys = ("min_area_pixels", "stuff_prob", "by_layer")
    assert [config.data.target_sampling[key] for key in keys] == [1000, 0.3, False]


def test_fine_tuning_has_the_architecture_of_the_bundled_model():
    """All its parameters are used: none is initialized again."""
    config = read("finetune")
    module = build(**config.model.to_dict())
    bundled = mst_jax.load(config.init_from)
    assert jax.tree.map(jnp.shape, bundled.params) == jax.tree.map(
        lambda leaf: leaf.shape, parameter_shapes(module)
    )
    assert config.zoom.to_dict() == bundled.config.zoom.to_dict()


def small_quickstart(**losses):
    """Return the config of the quick start with other losses, quick to trace."""
    config = read("quickstart")
    with config.unlocked():
        config.update(batch=1, crop=32, losses=losses)
        config.model.update(depth=1, width=24, num_heads=3)
        del config.losses.normalized_focal
    return config


def test_a_config_may_name_any_mask_loss_with_its_options():
    losses = {"adaptive_focal": {"weight": 1.0, "adaptive_gamma": False}, "dice": 2.0}
    _, _, metrics = trace_step(small_quickstart(**losses))
    assert set(losses) < set(metrics)


def test_a_loss_of_a_missing_output_is_one_sentence():
    with pytest.raises(ValueError, match="losses names token_score, which"):
        build_run(small_quickstart(token_score=1.0))
