import numpy as np

from mst_jax.data.example import Example
from mst_jax.data.inspection.preview import draw_sheet, pick_evenly, tint_objects

GREY = np.full((8, 8, 3), 100, np.uint8)


def example(height=60, width=90, label=1):
    layers = np.zeros((1, height, width), np.uint16)
    layers[0, 10:40, 20:60] = label
    return Example("é", np.full((height, width, 3), 100, np.uint8), layers)


def test_numbers_are_spread_from_the_first_to_the_last():
    assert pick_evenly(100, most=5).tolist() == [0, 25, 50, 74, 99]
    assert pick_evenly(3, most=5).tolist() == [0, 1, 2]
    assert pick_evenly(1, most=5).tolist() == [0]


def test_objects_are_tinted_and_outlined_and_the_rest_is_left_alone():
    labels = np.zeros((1, 8, 8), np.uint16)
    labels[0, 2:6, 1:4], labels[0, 2:6, 4:7] = 1, 2
    tinted = tint_objects(GREY, labels)
    np.testing.assert_array_equal(tinted[:, 7], GREY[:, 7])
    assert (tinted[2:6, 3] == 255).all()  # between the two
    inside = tinted[3, 1], tinted[3, 5]
    assert (inside[0] != 100).any() and (inside[0] != inside[1]).any()


def test_ignored_pixels_are_striped():
    labels = np.full((1, 8, 8), 65535, np.uint16)
    tinted = tint_objects(GREY, labels)
    assert set(np.unique(tinted)) == {100, 255}


def test_a_sheet_has_a_cell_for_each_picture():
    one = draw_sheet([("train/é", example())])
    assert draw_sheet([("a", example())] * 5).shape[1] > 4 * one.shape[1]
    two_rows = draw_sheet([("a" * 99, example())] * 6)
    assert two_rows.shape[0] == 2 * one.shape[0] - 10
    last = two_rows[one.shape[0] :, one.shape[1] :]
    assert (last == 250).all()  # an empty cell


def test_long_and_high_pictures_fit_their_cell():
    shapes = {
        draw_sheet([("a", example(h, w))]).shape for h, w in ((60, 900), (900, 70))
    }
    assert shapes == {draw_sheet([("a", example())]).shape}
