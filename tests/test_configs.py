"""Every config builds and its step traces; no accelerator, no data."""

import inspect
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest
from flax.traverse_util import flatten_dict, unflatten_dict

from mst_jax.data.targets import choose_target
from mst_jax.data.transforms.augment import augment
from mst_jax.models.build import build
from mst_jax.path_rules import any_matches
from mst_jax.structs import Batch
from mst_jax.training.config import read_config
from mst_jax.training.setup import build_run

CONFIGS = sorted((Path(__file__).parents[1] / "configs").glob("*.py"))


OTHERS = ("mst", "adaptiveclick", "mst_adaptive")
ARGUMENTS = [
    *(path.stem for path in CONFIGS),
    *(f"objects:model={model}" for model in OTHERS),
    *(f"objects:model=mst,loss={loss}" for loss in ("adaptive", "bce+dice", "scores")),
    "coco_lvis:release=224",
    *(
        pytest.param(f"{name}:{rest}", marks=pytest.mark.slow)
        for name, rest in (
            *(("sbd", f"model={model}") for model in OTHERS),
            *(("coco_lvis", f"model={model}") for model in OTHERS),
            *(("coco_lvis", f"release={release}") for release in ("448", "224-large")),
        )
    ),
]


def config_path(argument):
    """`--config` for a file's stem, with or without an argument."""
    stem, colon, rest = argument.partition(":")
    return f"{CONFIGS[0].with_name(stem + '.py')}{colon}{rest}"


@pytest.mark.parametrize("argument", ARGUMENTS)
def test_every_config_builds_and_its_step_traces(argument):
    config = read_config(["--config", config_path(argument)])
    # Smaller where only size matters, so that tracing is all that is done.
    config.update(batch=2, crop=64)
    with config.unlocked():
        config.model.update(depth=1, width=24, num_heads=3, head=32)
        if config.model.name in ("mst", "mst_adaptive"):
            config.model.every = 1
            config.model.selection = dict(score_heads=2, fuse_heads=2)
        if config.model.name in ("adaptiveclick", "mst_adaptive"):
            config.model.pixels = dict(num_layers=1)
            config.model.queries = dict(num_layers=1)
    made = []

    def start():
        run = build_run(config)
        made.append(run.update)
        return run.state

    state = jax.eval_shape(start)  # traced only, nothing is compiled
    (update,) = made
    shape = (config.batch, config.crop, config.crop)
    pixels = jax.ShapeDtypeStruct(shape, jnp.bool_)
    image = jax.ShapeDtypeStruct((*shape, 3), jnp.uint8)
    after, metrics = jax.eval_shape(update, state, Batch(image, pixels, pixels, pixels))
    assert jax.tree.structure(after) == jax.tree.structure(state)
    assert metrics["loss"].shape == ()


@pytest.mark.parametrize(
    ("argument", "wanted"),
    [
        ("model=mst", {"normalized_focal": 1.0}),
        ("model=mst,loss=adaptive", {"adaptive_focal": 1.0}),
        ("model=simpleclick,loss=bce+dice", {"bce": 1.0, "dice": 1.0}),
        ("model=mst,loss=scores", {}),
        ("size=tiny,loss=distillation", {"distillation": 1.0}),
    ],
)
def test_the_mask_loss_of_own_pictures(argument, wanted):
    losses = read_config(["--config", config_path(f"objects:{argument}")]).losses
    others = ("token_contrast", "token_score") if "mst" in argument else ()
    assert {name: losses[name] for name in losses if name not in others} == wanted


def test_only_the_scores_learn_from_the_loss_of_scores():
    config = read_config(["--config", config_path("objects:model=mst,loss=scores")])
    paths = {
        f"backbone/insertions_0/{name}": 0
        for name in ("score/mlp/out/bias", "score/norm_grid/norm/scale", "gamma")
    } | {"backbone/block0/mlp/out/bias": 0, "embed/positions": 0}
    held = any_matches(
        config.optimizer.frozen, unflatten_dict(paths, sep="/"), block=""
    )
    learning = [
        path for path, is_held in flatten_dict(held, sep="/").items() if not is_held
    ]
    assert sorted(learning) == sorted(path for path in paths if "/score/" in path)


@pytest.mark.parametrize(
    "argument",
    [
        "model=mst,loss=bce+no",
        "model=adaptiveclick,loss=dice",
        "model=simpleclick,loss=scores",
    ],
)
def test_a_mask_loss_that_cannot_be_is_refused(argument):
    with pytest.raises(ValueError, match=r"has no loss .*; leave it out, or"):
        read_config(["--config", config_path(f"objects:{argument}")])


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_blocks_hold_known_keys_and_fitting_values(path):
    config = read_config(["--config", str(path)])
    assert build(**config.model).embed.width >= 16
    for block, function in (("changes", augment), ("choosing", choose_target)):
        known = inspect.signature(function).parameters
        assert set(config.data.get(block, {})) <= set(known)
    assert set(config.evaluation) == {"zoom", "zoom_min_side"}
    assert config.checkpoint_every % config.log_every == 0


MILD, MST = ((0.75, 1.4), 0.25), ((0.5, 1.5), 0.3)


@pytest.mark.parametrize(
    ("argument", "crop", "changes", "weight"),
    [
        ("model=mst", 448, MST, 1.0),
        ("release=448", 448, MST, 1.0),
        ("release=224", 224, MILD, 1e-3),
        ("release=224-large,size=large", 224, MILD, 1.0),
        ("model=mst_adaptive", 448, MST, 1.0),
        ("model=simpleclick", 448, MILD, None),
        ("model=simpleclick,release=224", 448, MILD, None),
        ("model=adaptiveclick", 448, MILD, None),
    ],
)
def test_coco_lvis_as_each_model_was_trained_on_it(argument, crop, changes, weight):
    config = read_config(["--config", config_path(f"coco_lvis:{argument}")])
    assert config.crop == config.model.crop == config.evaluation.zoom == crop
    found = config.data.changes
    assert (tuple(found.scale), found.brightness) == changes
    assert found.get("symmetry", "mirror") == "mirror"
    assert config.losses.get("token_contrast") == weight
    squared = {"weight": weight, "form": "squared"} if crop == 224 else weight
    score = config.losses.get("token_score")
    assert (score.to_dict() if crop == 224 else score) == squared
    fields = ("smallest_pixels", "stuff_prob", "by_layer")
    assert [config.data.choosing[name] for name in fields] == [1000, 0.3, False]


def small_quickstart(**losses):
    """The quick start's config with other losses, small enough to trace at once."""
    quickstart = str(CONFIGS[0].with_name("quickstart.py"))
    config = read_config(["--config", quickstart])
    with config.unlocked():
        config.update(batch=1, crop=32, losses=losses)
        config.model.update(depth=1, width=24, num_heads=3)
        del config.losses.normalized_focal
    return config


def test_any_mask_loss_by_config_with_its_options():
    losses = {"adaptive_focal": {"weight": 1.0, "ada": False}, "dice": 2.0}
    config = small_quickstart(**losses)
    state, update, *_ = build_run(config)
    pixels = jax.ShapeDtypeStruct((1, 32, 32), jnp.bool_)
    image = jax.ShapeDtypeStruct((1, 32, 32, 3), jnp.uint8)
    _, metrics = jax.eval_shape(update, state, Batch(image, pixels, pixels, pixels))
    assert set(losses) < set(metrics)


def test_a_loss_of_what_the_model_does_not_say_is_one_sentence():
    with pytest.raises(ValueError, match="losses names token_score, which looks at"):
        build_run(small_quickstart(token_score=1.0))
