"""The bundled model: its files, and its masks on a photograph."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import mst_jax
from mst_jax.checkpoints.integrity import flat_shapes
from mst_jax.data.formats.images import decode_image
from mst_jax.models.load import BUNDLED_DIR, DEFAULT_MODEL, load, parameter_shapes
from tests.helpers.small_checkpoint import write_checkpoint

FLOWER = Path(__file__).parents[2] / "examples" / "photos" / "flower.jpg"
WEIGHTS = BUNDLED_DIR / "mst_small.safetensors"


def iou_with_flower(mask):
    """Return the IoU with the dahlia, a disk read off the photograph."""
    row, column = np.indices(mask.shape)
    disk = np.hypot(row - 178, column - 245) <= 109
    return (mask & disk).sum() / (mask | disk).sum()


def test_flower_is_segmented_without_the_other_one():
    predictor = mst_jax.Predictor(mst_jax.load(DEFAULT_MODEL))
    predictor.set_image(decode_image(FLOWER.read_bytes()))
    assert iou_with_flower(predictor.click(178, 245)) > 0.75
    mask = predictor.click(325, 280, positive=False)
    assert iou_with_flower(mask) > 0.8 and not mask[325, 280]


def test_parameters_have_the_shapes_of_the_config_model():
    """`load` does not compare them for the bundled model."""
    model = load(DEFAULT_MODEL)
    expected = parameter_shapes(model.module)
    assert flat_shapes(model.params) == flat_shapes(expected)


def test_both_spellings_of_the_name_are_known():
    assert load("mst_small").config == load("mst-small").config


def test_card_names_license_and_data():
    card = json.loads(WEIGHTS.with_suffix(".json").read_text())
    assert card["name"] == DEFAULT_MODEL
    assert "Research only" in card["license"] and "COCO" in card["training_data"]


def test_files_are_small_enough_for_git():
    files = [path for path in BUNDLED_DIR.iterdir() if path.is_file()]
    assert {path.name for path in files} == {"mst_small.json", "mst_small.safetensors"}
    assert 0 < sum(path.stat().st_size for path in files) <= 60e6


def test_damaged_weights_are_refused(tmp_path, monkeypatch):
    shutil.copytree(BUNDLED_DIR, tmp_path / "weights")
    copy = tmp_path / "weights" / WEIGHTS.name
    with copy.open("r+b") as file:
        file.seek(1_000_000)
        file.write(b"x")
    monkeypatch.setattr("mst_jax.models.load.BUNDLED_DIR", copy.parent)
    with pytest.raises(ValueError, match=r"mst_small\.safetensors is damaged: its SHA"):
        load(DEFAULT_MODEL)


def test_folder_of_that_name_takes_precedence(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    bundled = load(DEFAULT_MODEL)
    write_checkpoint(tmp_path / DEFAULT_MODEL)
    assert load(DEFAULT_MODEL).config != bundled.config
