import numpy as np
import pytest

from mst_jax.data.decoding.value_range import (
    find_value_range,
    stretch_present_values,
    stretch_to_8_bits,
)


def test_range_ignores_zeros_and_outliers():
    values = np.concatenate([np.zeros(500), np.linspace(100, 200, 1001), [1e6]])
    black_value, white_value = find_value_range(values)
    assert black_value == pytest.approx(100.5, abs=0.2)
    assert white_value == pytest.approx(199.6, abs=0.2)


@pytest.mark.parametrize("value", [700, -3])
def test_two_values_stay_different(value):
    values = np.array([0, value, value], np.int32)
    stretched = stretch_to_8_bits(values, *find_value_range(values))
    assert abs(int(stretched[0]) - int(stretched[1])) == 255


def test_values_are_mapped_linearly_and_clipped():
    values = np.array([-5, 0, 50, 100, 300], np.int16)
    assert stretch_to_8_bits(values, 0.0, 100.0).tolist() == [0, 0, 128, 255, 255]


def test_pixels_that_do_not_count_are_black():
    values = np.array([[[np.nan], [1.0], [2.0], [-9999.0]]])
    present = np.array([[False, True, True, False]])
    assert stretch_present_values(values, present)[..., 0].tolist() == [[0, 0, 255, 0]]
