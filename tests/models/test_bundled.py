"""The model in the box, on a photograph."""

from pathlib import Path

import numpy as np

import mst_jax
from mst_jax.data.formats.images import decode_picture
from mst_jax.models.load import BUNDLED, DEFAULT, load
from tests.helpers.small_checkpoint import write_checkpoint

FLOWER = Path(__file__).parents[2] / "examples" / "photos" / "flower.jpg"


def overlap(mask):
    """IoU with the dahlia, a disk: centre and radius are read off the photograph."""
    row, column = np.indices(mask.shape)
    disk = np.hypot(row - 178, column - 245) <= 109
    return (mask & disk).sum() / (mask | disk).sum()


def test_it_finds_a_flower_and_leaves_the_other_one():
    predictor = mst_jax.Predictor(mst_jax.load(DEFAULT))
    predictor.set_image(decode_picture(FLOWER.read_bytes()))
    assert overlap(predictor.click(178, 245)) > 0.75
    mask = predictor.click(325, 280, positive=False)
    assert overlap(mask) > 0.8 and not mask[325, 280]


def test_it_is_small_enough_for_git():
    files = [path for path in (BUNDLED / DEFAULT).rglob("*") if path.is_file()]
    assert 0 < sum(path.stat().st_size for path in files) <= 60e6


def test_a_folder_of_that_name_comes_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    bundled = load(DEFAULT)
    write_checkpoint(tmp_path / DEFAULT)
    assert load(DEFAULT).config != bundled.config
