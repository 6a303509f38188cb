import jax
import numpy as np

from mst_jax.exporting.program_functions import (
    click_program,
    network_program,
    pack_clicks,
    unpack_clicks,
)
from mst_jax.interaction.inference_options import ZoomOptions
from mst_jax.structs import Clicks


def brightness(image, clicks, prev_mask):
    """A function that can be called like a model."""
    return image.mean(-1) + prev_mask + clicks.num_clicks[:, None, None]


def test_clicks_are_packed_and_unpacked():
    clicks = Clicks.from_lists([(1.5, 2)], [(3, 4)], num_slots=3)
    batch = jax.tree.map(lambda leaf: leaf[None], clicks)
    rows = pack_clicks(batch)
    np.testing.assert_array_equal(rows, [[[1.5, 2, 1], [3, 4, 0], [-1, -1, -1]]])
    unpacked = unpack_clicks(rows)
    np.testing.assert_array_equal(unpacked.yx, batch.yx)
    np.testing.assert_array_equal(unpacked.label, batch.label)


def test_network_has_free_batch_and_clicks():
    program = network_program(brightness, 4, 6)
    shapes = {name: str(struct.shape) for name, struct in program.inputs.items()}
    assert shapes == {
        "image": "(b, 4, 6, 3)",
        "clicks": "(b, k, 3)",
        "prev_mask": "(b, 4, 6)",
    }
    image, prev_mask = np.ones((2, 4, 6, 3)), np.zeros((2, 4, 6))
    (logits,) = program.function(image, np.ones((2, 5, 3)), prev_mask)
    np.testing.assert_array_equal(logits, np.full((2, 4, 6), 6.0))


def test_click_is_that_of_an_image_without_padding():
    zoom = ZoomOptions(size=8, min_side=2, flip_tta=False)
    program = click_program(brightness, zoom)
    image = np.full((1, 12, 10, 3), 255, np.uint8)
    clicks = np.array([[[3, 4, 1]]], np.float32)
    prob, roi = program.function(
        *(image, clicks, np.zeros((1, 12, 10), np.float32)),
        np.full((1, 4), -1, np.int32),
    )
    np.testing.assert_array_equal(roi, [[0, 11, 0, 9]])
    np.testing.assert_allclose(prob, 1 / (1 + np.exp(-2.0)), rtol=1e-6)
    assert program.output_names == ("new_prob", "new_roi")
