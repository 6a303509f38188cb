import pytest
from ml_collections import FrozenConfigDict

from mst_jax.interaction.inference_options import AS_TRAINED, choose_view, read_zoom

TRAINED = FrozenConfigDict({"evaluation": {"zoom": 96, "zoom_min_side": 64}})


def test_without_a_word_it_is_the_published_view():
    assert choose_view({}) == {"zoom": 448, "zoom_min_side": 200, "mirror": True}


def test_the_model_speaks_then_the_user():
    assert choose_view(TRAINED) == {"zoom": 96, "zoom_min_side": 64, "mirror": True}
    asked = choose_view(TRAINED, zoom=None, mirror=False)
    assert asked == {"zoom": None, "zoom_min_side": 64, "mirror": False}
    assert choose_view(TRAINED, zoom=32, zoom_min_side=20)["zoom_min_side"] == 20


@pytest.mark.parametrize(
    ("config", "asked", "message"),
    [
        ({}, {"zoom": 0}, "zoom is 0, expected 1 pixel or more"),
        ({}, {"zoom_min_side": 0}, "zoom_min_side is 0, expected 1 pixel or more"),
        ({"evaluation": {"zom": 3}}, {}, "config.evaluation: .*'zom'; it takes zoom"),
    ],
)
def test_what_means_nothing(config, asked, message):
    with pytest.raises(ValueError, match=message):
        choose_view(config, **asked)


def test_a_zoom_on_the_command_line():
    assert read_zoom("448") == 448
    assert read_zoom("none") is None
    assert read_zoom(AS_TRAINED) == AS_TRAINED


@pytest.mark.parametrize("text", ["0", "-3", "4.5", "all", ""])
def test_a_zoom_that_means_nothing(text):
    with pytest.raises(ValueError, match="expected a whole number from 1, or none"):
        read_zoom(text)
