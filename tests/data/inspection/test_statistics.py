import numpy as np

from mst_jax.data.inspection.statistics import compute_statistics, format_statistics


def test_statistics_count_images_layers_and_objects():
    first_layers = np.zeros((2, 10, 10), np.uint16)
    first_layers[0, 0, 0], first_layers[0, 1:6], first_layers[1, 0, :2] = 1, 2, 65535
    second_layers = np.full((1, 4, 20), 9, np.uint16)
    statistics = compute_statistics([first_layers, second_layers])
    np.testing.assert_array_equal(statistics.image_sizes, [[10, 10], [4, 20]])
    np.testing.assert_array_equal(statistics.num_layers, [2, 1])
    np.testing.assert_allclose(statistics.area_fractions, [0.01, 0.5, 1.0])
    text_lines = format_statistics(statistics).splitlines()
    assert text_lines[0] == "2 images, 3 objects in 3 layers"
    assert text_lines[1].startswith("sizes 4x10 to 10x20, median 7x15")
    assert [int(line.split()[3]) for line in text_lines[3:]] == [0, 0, 1, 0, 0, 2]
