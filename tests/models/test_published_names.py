import json
from pathlib import Path

import pytest
from flax.traverse_util import flatten_dict

import mst_jax
from mst_jax.checkpoints.parameter_mapping import write_names
from mst_jax.checkpoints.torch_file import TorchFile
from mst_jax.models.detect_architecture import find_model, names_of
from mst_jax.models.load import shapes_of_params
from tests.helpers.published_checkpoint import blank

# Names, shapes and blocks of small checkpoints that the published programs wrote; they
# have 12 blocks, 224-large 24, of which the tests build the first.
NAMES = json.loads(
    (Path(__file__).parents[1] / "golden" / "published_names.json").read_text()
)
GOLDEN = {
    "simpleclick_p16": {"name": "simpleclick", "crop": 448},
    "mst_slim448": {"name": "mst", "release": "slim-448", "every": 4},
    "mst_448": {"name": "mst", "release": "448", "every": 4},
    "mst_224": {"name": "mst", "release": "224", "every": 4},
    "mst_1024": {"name": "mst", "release": "1024", "every": 4},
    "mst_224_large": {"name": "mst", "release": "224-large", "depth": 16, "every": 8},
}
GOLDEN_SMALL = {
    "crop": 192,
    "width": 48,
    "depth": 4,
    "num_heads": 4,
    "pyramid": (16, 32, 64, 128),
    "head": 32,
}


def published_shapes(form, depth):
    shapes = {}
    for name, (shape, blocks) in (NAMES["every form"] | NAMES[form]).items():
        numbers = range(depth) if blocks == "all" else blocks or [0]
        shapes |= {
            name.replace(".N.", f".{n}."): tuple(shape) for n in numbers if n < depth
        }
    return shapes


def written_shapes(model):
    """Name -> shape of what would be written for a model."""
    module = mst_jax.build(**model)
    shapes = flatten_dict(shapes_of_params(module), sep="/")
    zeros = blank({path: leaf.shape for path, leaf in shapes.items()})
    arrays = write_names(zeros, names_of(model, module))
    return {name: array.shape for name, array in arrays.items()}


@pytest.mark.parametrize("form", GOLDEN)
def test_every_published_name_and_no_other(form):
    model = GOLDEN_SMALL | GOLDEN[form]
    assert written_shapes(model) == published_shapes(form, model["depth"])


# Names in a checkpoint that AdaptiveClick's program wrote, and its sizes by letters: c, d
# the widths of ViT and decoders, p patch, n positions, h and g the feed-forwards of pixel
# and mask decoder, q queries; f and e the maps of the pyramid and what leads to them.
ADAPTIVE_NAMES = json.loads(
    (Path(__file__).parents[1] / "golden" / "adaptiveclick_names.json").read_text()
)
ADAPTIVE = {
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
    letters, maps, ways = ADAPTIVE[form]
    sizes = letters | maps | ways | {"q": 10, "2e4": 2 * ways["e4"]}
    sizes |= {f"{n}c": n * letters["c"] for n in (3, 4)} | {"3d": 3 * letters["d"]}
    shapes = {}
    for name, shape in ADAPTIVE_NAMES.items():
        many = {"blocks": depth, "encoder": 4, "click_aware_decoder": 9}
        number = next((n for key, n in many.items() if key in name), 1)
        shapes |= {
            name.replace(".N.", f".{n}."): tuple(
                sizes.get(size, size) for size in shape
            )
            for n in range(number)
        }
    return shapes


@pytest.mark.parametrize(
    ("form", "model"),
    [
        (
            "small",
            GOLDEN_SMALL
            | {"crop": 448, "head": 64, "pyramid": (16, 32, 64, 96)}
            | {"pixels": {"hidden": 64}, "queries": {"hidden": 128}},
        ),
        ("base", {"size": "base", "depth": 2}),
        ("huge", {"size": "huge", "depth": 2}),
    ],
)
def test_every_name_of_adaptiveclick_and_no_other(form, model):
    found = written_shapes({"name": "adaptiveclick"} | model)
    assert found == adaptive_shapes(form, model["depth"])


@pytest.mark.parametrize(("size", "depth"), [("base", 12), ("huge", 32)])
def test_published_sizes_of_adaptiveclick_are_known_without_a_config(size, depth):
    model = find_model(TorchFile(blank(adaptive_shapes(size, depth)), {}, {}))
    assert model == {"name": "adaptiveclick", "size": size, "crop": 448}
