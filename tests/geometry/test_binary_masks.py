import numpy as np
import pytest

from mst_jax.geometry.binary_masks import as_binary_mask


@pytest.mark.parametrize(
    "values",
    [
        [[True, False]],
        [[255, 0]],
        np.array([[1.0, 0.0]], np.float32),
        np.array([[7, 0]], np.int64),
    ],
    ids=str,
)
def test_one_number_on_the_object_is_a_mask(values):
    mask = as_binary_mask(values, "mask")
    assert mask.dtype == bool and mask.tolist() == [[True, False]]


def test_a_mask_may_be_empty_or_everywhere():
    assert not as_binary_mask(np.zeros((2, 3)), "mask").any()
    assert as_binary_mask(np.full((2, 3), 255, np.uint8), "mask").all()


def test_the_result_is_a_copy():
    values = np.array([[True, False]])
    mask = as_binary_mask(values, "mask")
    values[:] = True
    assert mask.tolist() == [[True, False]]


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ([[0.1, 0.9, 0.0]], "target has more than two values, from 0 to 0.9"),
        ([[0, 1, 2]], "more than two values, from 0 to 2.*the number of one object"),
        ([[-1, 1, 0]], "more than two values, from -1 to 1"),
        (np.array([[0, 128, 255]], np.uint8), "from 0 to 255"),
        ([[np.nan, 0.0]], "not finite numbers"),
        ([["a", "b"]], "not finite numbers, expected bool"),
    ],
)
def test_probabilities_and_label_maps_are_refused(values, sentence):
    with pytest.raises(ValueError, match=sentence):
        as_binary_mask(values, "target")
