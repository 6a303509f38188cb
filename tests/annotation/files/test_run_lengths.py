import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from pycocotools import mask as coco_mask

from mst_jax.annotation.files.run_lengths import (
    decode_mask,
    encode_mask,
    to_coco_rle,
    to_encoded_mask,
)

masks_strategy = arrays.arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 9)))


@given(masks_strategy)
def test_mask_is_decoded_as_it_was(mask):
    data = encode_mask(mask)
    np.testing.assert_array_equal(decode_mask(data), mask)
    assert coco_mask.area(to_encoded_mask(data)) == mask.sum()
    assert to_coco_rle(mask)["counts"].encode() == data[8:]


@given(masks_strategy)
def test_run_lengths_equal_those_of_pycocotools(mask):
    expected = coco_mask.encode(np.asfortranarray(mask, np.uint8))
    assert to_encoded_mask(encode_mask(mask)) == expected
