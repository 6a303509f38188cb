import jax.numpy as jnp
import numpy as np
import pytest

from mst_jax.exporting.export_facts import ExportFacts
from mst_jax.exporting.onnx_file import OnnxNetwork, write_onnx_file
from mst_jax.exporting.program_functions import network_program
from mst_jax.interaction.inference_options import ZoomOptions

FACTS = ExportFacts("network", (4, 6), ZoomOptions(size=None), {"model": {}})


def test_file_is_read_with_its_facts(tmp_path):
    def model(image, clicks, prev_mask):
        return image.sum(-1) - prev_mask + clicks.yx.sum((1, 2))[:, None, None]

    path = tmp_path / "new" / "a.onnx"
    write_onnx_file(path, network_program(model, 4, 6), FACTS)
    network = OnnxNetwork(path)
    assert network.facts == FACTS
    image = np.ones((2, 4, 6, 3), np.float32)
    clicks = np.full((2, 1, 3), 5, np.float32)
    logits = network.run(image, clicks, jnp.ones((2, 4, 6)))
    np.testing.assert_array_equal(logits, np.full((2, 4, 6), 12.0))


def test_nothing_is_written_for_an_unknown_operation(tmp_path):
    def model(image, clicks, prev_mask):
        return jnp.sort(image[..., 0]) + prev_mask

    with pytest.raises(ValueError, match="no translation to ONNX"):
        write_onnx_file(tmp_path / "a.onnx", network_program(model, 4, 6), FACTS)
    assert not list(tmp_path.iterdir())
