import numpy as np
import pytest

from mst_jax.data.decoding.tiff_header import RGB, is_tiff, read_tiff_pages
from tests.helpers.tiff_files import encode_tiff

GRAY = np.arange(12, dtype=np.uint16).reshape(3, 4)


def test_pages_are_described():
    rgba = np.zeros((3, 4, 4), np.uint8)
    (page,) = read_tiff_pages(encode_tiff(rgba, tags={338: (2,), 42113: "-9999"}))
    assert (page.num_samples, page.num_bits, page.photometric) == (4, 8, RGB)
    assert page.extra_samples == (2,) and page.no_data == -9999
    assert not page.is_planar


def test_thumbnails_and_transparency_masks_are_no_pages():
    first, second = read_tiff_pages(encode_tiff(GRAY, GRAY))
    assert (first.directory_index, second.directory_index) == (0, 1)
    with pytest.raises(ValueError, match="no image"):
        read_tiff_pages(encode_tiff(GRAY, tags={254: (1,)}))


def test_a_chain_of_pages_that_returns_to_its_start_ends():
    data = bytearray(encode_tiff(GRAY))
    data[-4:] = data[4:8]
    assert len(read_tiff_pages(bytes(data))) == 1


@pytest.mark.parametrize("length", [8, 30, 60])
def test_truncated_tiff_raises_value_error(length):
    data = encode_tiff(GRAY)
    assert is_tiff(data) and not is_tiff(b"\x89PNG")
    with pytest.raises(ValueError, match="TIFF"):
        read_tiff_pages(data[:length])
