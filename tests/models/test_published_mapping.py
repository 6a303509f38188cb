import json
from pathlib import Path

import pytest

import mst_jax
from mst_jax.checkpoints.formats.weight_file import WeightFile
from mst_jax.checkpoints.parameter_mapping import arrays_from_params, flatten_params
from mst_jax.models.detect_architecture import detect_model_config
from mst_jax.models.load import parameter_shapes
from mst_jax.models.published_mapping import published_parameter_mapping
from tests.helpers.published_checkpoint import PUBLISHED_FORMS, SMALL_SIZES, zero_arrays

# Names, shapes and block indices of small checkpoints that the published programs wrote;
# they have 12 blocks, 224-large 24, of which the tests build the first.
PUBLISHED_NAMES = json.loads(
    (Path(__file__).parents[1] / "golden" / "published_names.json").read_text()
)
GOLDEN_MODELS = {
    "simpleclick_p16": {"name": "simpleclick", "crop": 448},
    "mst_slim448": {"name": "mst", "release": "slim-448", "insert_every": 4},
    "mst_448": {"name": "mst", "release": "448", "insert_every": 4},
    "mst_224": {"name": "mst", "release": "224", "insert_every": 4},
    "mst_1024": {"name": "mst", "release": "1024", "insert_every": 4},
    "mst_224_large": {
        "name": "mst",
        "release": "224-large",
        "depth": 16,
        "insert_every": 8,
    },
}
GOLDEN_SIZES = {
    "crop": 192,
    "width": 48,
    "depth": 4,
    "num_heads": 4,
    "pyramid_widths": (16, 32, 64, 128),
    "decoder_width": 32,
}


def published_shapes(form, depth):
    shapes = {}
    for name, (shape, block_indices) in (
        PUBLISHED_NAMES["every form"] | PUBLISHED_NAMES[form]
    ).items():
        indices = range(depth) if block_indices == "all" else block_indices or [0]
        shapes |= {
            name.replace(".N.", f".{n}."): tuple(shape) for n in indices if n < depth
        }
    return shapes


def written_shapes(model_config):
    """Return the shapes of the arrays that would be written for a model, by name."""
    module = mst_jax.build(**model_config)
    shapes = flatten_params(parameter_shapes(module))
    zeros = zero_arrays({path: leaf.shape for path, leaf in shapes.items()})
    arrays = arrays_from_params(
        zeros, published_parameter_mapping(model_config, module)
    )
    return {name: array.shape for name, array in arrays.items()}


@pytest.mark.parametrize("form", GOLDEN_MODELS)
def test_names_are_those_of_the_published_program(form):
    model = GOLDEN_SIZES | GOLDEN_MODELS[form]
    assert written_shapes(model) == published_shapes(form, model["depth"])


# Names in a checkpoint that AdaptiveClick's program wrote, and its sizes by letters: c, d
# the widths of ViT and decoders, p patch, n positions, h and g the feed-forwards of pixel
# and mask decoder, q queries; f and e the maps of the pyramid and the layers before.
ADAPTIVE_NAMES = json.loads(
    (Path(__file__).parents[1] / "golden" / "adaptiveclick_names.json").read_text()
)
ADAPTIVE_SIZES = {
    "small": (
        {"c": 48, "p": 16, "n": 785, "d": 64, "h": 64, "g": 128},
        {"f4": 16, "f8": 32, "f16": 64, "f32": 96},
        {"e4": 16, "e8": 32, "e32": 96},
    ),
    "base": (
        {"c": 768, "p": 16, "n": 785, "d": 256, "h": 1024, "g": 2048},
        {"f4": 256, "f8": 512, "f16": 1024, "f32": 2048},
        {"e4": 256, "e8": 512, "e32": 2048},
    ),
    "huge": (
        {"c": 1280, "p": 14, "n": 1025, "d": 256, "h": 1024, "g": 2048},
        {"f4": 512, "f8": 1024, "f16": 2048, "f32": 4096},
        {"e4": 512, "e8": 1024, "e32": 4096},
    ),
}


def adaptive_shapes(form, depth):
    letters, map_widths, hidden_widths = ADAPTIVE_SIZES[form]
    sizes = letters | map_widths | hidden_widths
    sizes |= {"q": 10, "2e4": 2 * hidden_widths["e4"]}
    sizes |= {f"{n}c": n * letters["c"] for n in (3, 4)} | {"3d": 3 * letters["d"]}
    shapes = {}
    for name, shape in ADAPTIVE_NAMES.items():
        layer_counts = {"blocks": depth, "encoder": 4, "click_aware_decoder": 9}
        num_layers = next((n for key, n in layer_counts.items() if key in name), 1)
        shapes |= {
            name.replace(".N.", f".{n}."): tuple(
                sizes.get(size, size) for size in shape
            )
            for n in range(num_layers)
        }
    return shapes


@pytest.mark.parametrize(
    ("form", "model"),
    [
        (
            "small",
            GOLDEN_SIZES
            | {"crop": 448, "decoder_width": 64, "pyramid_widths": (16, 32, 64, 96)}
            | {
                "pixel_decoder": {"mlp_hidden": 64},
                "mask_decoder": {"mlp_hidden": 128},
            },
        ),
        ("base", {"size": "base", "depth": 2}),
        pytest.param("huge", {"size": "huge", "depth": 2}, marks=pytest.mark.slow),
    ],
)
def test_names_are_those_of_the_published_adaptiveclick(form, model):
    written = written_shapes({"name": "adaptiveclick"} | model)
    assert written == adaptive_shapes(form, model["depth"])


@pytest.mark.parametrize(("size", "depth"), [("base", 12), ("huge", 32)])
def test_sizes_of_adaptiveclick_are_detected_without_a_config(size, depth):
    model = detect_model_config(WeightFile(zero_arrays(adaptive_shapes(size, depth))))
    assert model == {"name": "adaptiveclick", "size": size, "crop": 448}


def test_models_that_no_published_program_computes_have_no_mapping():
    adaptive = PUBLISHED_FORMS["adaptiveclick"]
    cases = {
        "windows of 224 pixels, this model in none": {
            "name": "simpleclick",
            "window": 0,
        },
        "token selection of a release": {
            "name": "mst",
            "selection": {"keep_ratio": 1 / 4},
        },
        "windows of 224 pixels, this model in 32": adaptive | {"window": 32},
        "heads in the pixel decoder: 8, this model 4": adaptive
        | {"pixel_decoder": {"num_heads": 4}},
        "groups in the norms of maps: 32, this model 16": adaptive
        | {"pixel_decoder": {"num_groups": 16}},
        "heads in the mask decoder: 8, this model 4": adaptive
        | {"mask_decoder": {"num_heads": 4}},
        "queries that attend to the clicks: True, this model False": adaptive
        | {"mask_decoder": {"attend_to_clicks": False}},
    }
    for sentence, changes in cases.items():
        model = SMALL_SIZES | changes
        with pytest.raises(ValueError, match=sentence):
            published_parameter_mapping(model, mst_jax.build(**model))
    module = mst_jax.build(**PUBLISHED_FORMS["simpleclick"])
    with pytest.raises(ValueError, match="no published program runs the model 'other'"):
        published_parameter_mapping({"name": "other"}, module)
