"""Building a model by name: options, equality, errors."""

import pytest

import mst_jax
from mst_jax.models.build import MODEL_RECIPES, build


def test_model_has_the_values_of_its_options():
    model = build("simpleclick", size="tiny", depth=3, patch_size=8, crop=64)
    assert model.backbone.depth == 3
    assert model.embed.position_grid == (8, 8)
    assert model.backbone.window_size == 28
    assert model.neck.level_widths == (32, 64, 128, 256)
    assert mst_jax.build is build


def test_equal_options_build_equal_models():
    assert build("simpleclick", size="tiny") == build("simpleclick", size="tiny")
    assert hash(build("simpleclick")) == hash(build("simpleclick"))


def test_wrong_names_are_rejected():
    with pytest.raises(
        ValueError, match=f"no model 'sam'; choose one of {next(iter(MODEL_RECIPES))}"
    ):
        build("sam")
    with pytest.raises(ValueError, match=r"unknown keys depht; .*closest: depth"):
        build("simpleclick", depht=3)
