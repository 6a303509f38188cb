import pytest
from ml_collections import FrozenConfigDict

from mst_jax.exporting.export_facts import ExportFacts, config_as_json
from mst_jax.interaction.inference_options import ZoomOptions, zoom_options_of
from tests.helpers.exported_models import small_model

FACTS = ExportFacts("network", (64, 96), ZoomOptions(size=64), {"model": {"name": "x"}})


def test_json_restores_the_facts():
    assert ExportFacts.from_json(FACTS.to_json()) == FACTS


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"kind": "network", "size": 3}'])
def test_other_text_is_one_sentence(text):
    with pytest.raises(ValueError, match="its description cannot be read"):
        ExportFacts.from_json(text)


def test_config_has_the_zoom_of_the_export():
    config = FACTS.config_with_zoom()
    assert isinstance(config, FrozenConfigDict) and config["model"]["name"] == "x"

    class Model:
        pass

    model = Model()
    model.config = config
    assert zoom_options_of(model) == FACTS.zoom


def test_config_becomes_json():
    model = small_model("mst")
    facts = ExportFacts("click", (1, 1), ZoomOptions(), config_as_json(model.config))
    assert facts.config["model"]["name"] == "mst"
    assert ExportFacts.from_json(facts.to_json()) == facts
