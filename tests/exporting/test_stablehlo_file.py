import numpy as np

from mst_jax.exporting.export_facts import ExportFacts
from mst_jax.exporting.program_functions import network_program
from mst_jax.exporting.stablehlo_file import (
    PLATFORMS,
    read_stablehlo_file,
    write_stablehlo_file,
)
from mst_jax.interaction.inference_options import ZoomOptions

FACTS = ExportFacts("network", (4, 6), ZoomOptions(size=None), {"model": {}})


def test_file_is_read_with_its_facts(tmp_path):
    weights = np.arange(24, dtype=np.float32).reshape(1, 4, 6)

    def model(image, clicks, prev_mask):
        return image.sum(-1) * weights - prev_mask

    path = tmp_path / "a.stablehlo"
    write_stablehlo_file(path, network_program(model, 4, 6), FACTS)
    exported, facts = read_stablehlo_file(path)
    assert facts == FACTS and exported.platforms == PLATFORMS
    for num_examples in (1, 3):
        image = np.ones((num_examples, 4, 6, 3), np.float32)
        clicks = np.ones((num_examples, 2, 3), np.float32)
        (logits,) = exported.call(image, clicks, image[..., 0])
        expected = np.broadcast_to(3 * weights - 1, logits.shape)
        np.testing.assert_array_equal(logits, expected)
