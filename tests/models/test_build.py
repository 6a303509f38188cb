import pytest

import mst_jax
from mst_jax.models.build import MODELS, build


def test_a_model_has_four_fields_and_knows_its_values():
    model = build("simpleclick", size="tiny", depth=3, patch=8, crop=64)
    assert model.backbone.depth == 3
    assert model.embed.positions == (8, 8)
    assert model.backbone.window == 28
    assert model.neck.widths == (32, 64, 128, 256)
    assert mst_jax.build is build


def test_the_same_values_make_equal_models():
    assert build("simpleclick", size="tiny") == build("simpleclick", size="tiny")
    assert hash(build("simpleclick")) == hash(build("simpleclick"))


def test_wrong_names_are_named():
    with pytest.raises(
        ValueError, match=f"no model 'sam'; choose one of {next(iter(MODELS))}"
    ):
        build("sam")
    with pytest.raises(ValueError, match="no depht; it has width, depth"):
        build("simpleclick", depht=3)
