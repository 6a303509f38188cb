import numpy as np

from mst_jax.data.builders.sstem import Sstem
from tests.helpers.image_files import write_image
from tests.helpers.prepare_dataset import prepare_dataset


def test_each_4_connected_region_of_any_gray_is_an_object(tmp_path):
    mask_values = np.array([[9, 0, 0, 7], [0, 9, 0, 8], [0, 9, 0, 0]], np.uint8)
    stack_folder = tmp_path / "source" / "stack1"
    write_image(stack_folder / "raw" / "00.tif", np.full((3, 4), 100, np.uint8))
    write_image(stack_folder / "mitochondria" / "00.png", mask_values)
    splits, _ = prepare_dataset(Sstem, tmp_path / "source", tmp_path / "data")
    np.testing.assert_array_equal(
        splits["test"]["00"].layers, [[[1, 0, 0, 2], [0, 3, 0, 2], [0, 3, 0, 0]]]
    )
    np.testing.assert_array_equal(splits["test"]["00"].image, np.full((3, 4, 3), 100))
