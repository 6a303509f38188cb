import dataclasses
from types import SimpleNamespace

import pytest
from ml_collections import FrozenConfigDict

from mst_jax.interaction.inference_options import (
    ZoomOptions,
    override_zoom,
    parse_zoom_size,
    zoom_options_from_config,
    zoom_options_of,
)

TRAINED = FrozenConfigDict({"zoom": {"size": 96, "min_side": 64}})


def test_without_a_config_the_options_are_the_published_ones():
    published = ZoomOptions(size=448, min_side=200, flip_tta=True, drop_outside=False)
    assert zoom_options_of(lambda image, clicks, prev_mask: prev_mask) == published
    assert zoom_options_of(SimpleNamespace(config={"zoom": {"size": 1}})) == published


def test_a_trained_model_has_the_options_of_its_config():
    model = SimpleNamespace(config=TRAINED)
    assert zoom_options_of(model) == ZoomOptions(size=96, min_side=64)
    no_zoom = FrozenConfigDict({"zoom": {"size": None, "flip_tta": False}})
    assert zoom_options_from_config(no_zoom) == ZoomOptions(size=None, flip_tta=False)


def test_flags_replace_what_a_model_was_trained_for():
    trained = zoom_options_from_config(TRAINED)
    assert override_zoom(trained) == trained
    assert override_zoom(trained, size="none").size is None
    assert override_zoom(trained, size="32", min_side=20) == ZoomOptions(32, 20)
    assert not override_zoom(trained, flip_tta=False).flip_tta


@pytest.mark.parametrize("change", [{"size": 0}, {"min_side": 0}, {"min_side": -1}])
def test_invalid_options_are_named(change):
    ((name, value),) = change.items()
    message = f"zoom {name} is {value}, expected a whole number of pixels from 1"
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(ZoomOptions(), **change)


@pytest.mark.parametrize(
    ("block", "message"),
    [
        ({"siz": 3}, r"config\.zoom .*siz.*min_side"),
        ({"size": 0}, r"config\.zoom: zoom size is 0, expected a whole number"),
        ({"size": 1.5}, r"config\.zoom\.size is 1\.5, expected"),
        ({"min_side": None}, r"config\.zoom\.min_side is None, expected"),
        ({"flip_tta": 1}, r"config\.zoom\.flip_tta is 1, expected"),
    ],
    ids=str,
)
def test_an_invalid_block_of_the_config_is_named(block, message):
    with pytest.raises(ValueError, match=message):
        zoom_options_from_config({"zoom": block})


def test_a_zoom_on_the_command_line():
    assert parse_zoom_size("448") == 448
    assert parse_zoom_size("none") is None


@pytest.mark.parametrize("text", ["0", "-3", "4.5", "all", ""])
def test_an_invalid_zoom_on_the_command_line(text):
    with pytest.raises(ValueError, match="expected a whole number from 1, or none"):
        parse_zoom_size(text)
