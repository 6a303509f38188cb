"""The schema has every key that the readers of a config take."""

from collections.abc import Sequence

import pytest

from mst_jax.models.build import MODEL_RECIPES
from mst_jax.reporting.training_monitor import SummaryOptions
from mst_jax.training.config import OPTION_CLASSES, TrainingOptions
from mst_jax.training.startup.config_schema import config_schema, list_keys


def test_the_schema_has_the_fields_of_every_block():
    schema = config_schema(
        TrainingOptions, {"summaries": SummaryOptions}, model_name="mst"
    )
    assert schema["steps"] is int and schema["init_from"] == str | None
    assert schema["optimizer"]["frozen"] == Sequence[str]
    assert schema["summaries"]["images_every"] is int
    assert schema["data"]["name"] is str
    assert schema["data"]["augmentation"]["rotate"] is float
    assert schema["losses"]["focal"]["alpha"] == float | None
    assert schema["losses"]["adaptive_focal"]["adaptive_gamma"] is bool
    assert schema["losses"]["token_contrast"]["form"] is str
    assert set(OPTION_CLASSES) < set(schema)


@pytest.mark.parametrize("name", MODEL_RECIPES)
def test_the_schema_has_the_arguments_of_the_model(name):
    model = config_schema(TrainingOptions, {}, model_name=name)["model"]
    assert {"name", "size", "crop", "depth", "decoder_width", "remat"} < set(model)
    assert ("selection" in model) == ("mst" in name)
    assert ("mask_decoder" in model) == ("adapt" in name)
    if "mask_decoder" in model:
        assert model["mask_decoder"]["num_queries"] is int
        assert not {"dtype", "parent", "remat"} & set(model["mask_decoder"])


def test_keys_are_listed_as_users_write_them():
    assert list_keys({"a": int, "b": {"c": str}}) == [
        "config.a",
        "config.b",
        "config.b.c",
    ]
