import jax.numpy as jnp
import numpy as np

from mst_jax.exporting.export_facts import ExportFacts
from mst_jax.exporting.program_functions import network_program
from mst_jax.exporting.stablehlo_file import (
    PLATFORMS,
    read_stablehlo_file,
    write_stablehlo_file,
)
from mst_jax.interaction.inference_options import ZoomOptions
from mst_jax.layers.dot_product_attention import (
    dot_product_attention,
    plain_attention,
)

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


def test_attention_in_bfloat16_is_exported_for_all_platforms(tmp_path):
    def attend(image, clicks, prev_mask):
        tokens = image.reshape(image.shape[0], 1, 640, 3).astype(jnp.bfloat16)
        attended = dot_product_attention(tokens, tokens, tokens)
        return attended[..., 0].reshape(prev_mask.shape).astype(jnp.float32)

    path = tmp_path / "a.stablehlo"
    write_stablehlo_file(path, network_program(attend, 20, 32), FACTS)
    exported, _ = read_stablehlo_file(path)
    image = np.random.default_rng(0).random((2, 20, 32, 3), np.float32)
    (result,) = exported.call(image, np.zeros((2, 1, 3), np.float32), image[..., 0])
    tokens = jnp.asarray(image.reshape(2, 1, 640, 3))
    expected = plain_attention(tokens, tokens, tokens)[..., 0].reshape(2, 20, 32)
    np.testing.assert_allclose(result, expected, rtol=0.02)
