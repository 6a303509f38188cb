import numpy as np

from mst_jax.data.example import Example
from mst_jax.data.inspection.preview import (
    draw_contact_sheet,
    evenly_spaced_indices,
    tint_objects,
)

GRAY_IMAGE = np.full((8, 8, 3), 100, np.uint8)


def make_example(height=60, width=90, label=1):
    layers = np.zeros((1, height, width), np.uint16)
    layers[0, 10:40, 20:60] = label
    return Example("é", np.full((height, width, 3), 100, np.uint8), layers)


def test_indices_include_the_first_and_the_last():
    assert evenly_spaced_indices(100, max_count=5).tolist() == [0, 25, 50, 74, 99]
    assert evenly_spaced_indices(3, max_count=5).tolist() == [0, 1, 2]
    assert evenly_spaced_indices(1, max_count=5).tolist() == [0]


def test_objects_are_tinted_and_outlined_and_the_background_is_unchanged():
    labels = np.zeros((1, 8, 8), np.uint16)
    labels[0, 2:6, 1:4], labels[0, 2:6, 4:7] = 1, 2
    tinted_image = tint_objects(GRAY_IMAGE, labels)
    np.testing.assert_array_equal(tinted_image[:, 7], GRAY_IMAGE[:, 7])
    assert (tinted_image[2:6, 3] == 255).all()  # between the two
    object_colors = tinted_image[3, 1], tinted_image[3, 5]
    assert (object_colors[0] != 100).any() and (
        object_colors[0] != object_colors[1]
    ).any()


def test_ignored_pixels_are_striped():
    labels = np.full((1, 8, 8), 65535, np.uint16)
    tinted_image = tint_objects(GRAY_IMAGE, labels)
    assert set(np.unique(tinted_image)) == {100, 255}


def test_a_sheet_has_a_cell_for_each_image():
    single_cell = draw_contact_sheet([("train/é", make_example())])
    assert (
        draw_contact_sheet([("a", make_example())] * 5).shape[1]
        > 4 * single_cell.shape[1]
    )
    two_rows = draw_contact_sheet([("a" * 99, make_example())] * 6)
    assert two_rows.shape[0] == 2 * single_cell.shape[0] - 10
    last_cell = two_rows[single_cell.shape[0] :, single_cell.shape[1] :]
    assert (last_cell == 250).all()  # an empty cell


def test_wide_and_tall_images_fit_their_cell():
    sheet_shapes = {
        draw_contact_sheet([("a", make_example(height, width))]).shape
        for height, width in ((60, 900), (900, 70))
    }
    assert sheet_shapes == {draw_contact_sheet([("a", make_example())]).shape}
