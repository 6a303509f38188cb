import io

import numpy as np
import pytest
from PIL import Image

from mst_jax.data.decoding.image_pages import choose_page, count_pages
from tests.helpers.tiff_files import encode_tiff

FRAMES = [Image.new("RGB", (6, 4), (40 * k, 0, 0)) for k in range(3)]


def encode_frames(format_name, frames=FRAMES, **options):
    file = io.BytesIO()
    first, *others = frames
    if others:
        options |= {"save_all": True, "append_images": others}
    first.save(file, format_name, **options)
    return file.getvalue()


@pytest.mark.parametrize("format_name", ["PNG", "WEBP", "GIF", "TIFF"])
def test_pages_and_frames_are_counted(format_name):
    assert count_pages(encode_frames(format_name)) == 3
    assert count_pages(encode_frames(format_name, FRAMES[:1])) == 1


def test_other_formats_have_one_page():
    assert count_pages(encode_frames("JPEG", FRAMES[:1])) == 1


def test_several_pages_need_a_choice():
    data = encode_tiff(*[np.zeros((3, 4), np.uint8)] * 3)
    with pytest.raises(ValueError, match="has 3 pages or frames; choose one"):
        choose_page(data, None)
    assert choose_page(data, 3) == 2
    for page in (0, 4):
        with pytest.raises(ValueError, match=f"no page {page}"):
            choose_page(data, page)


def test_a_single_page_is_read_whatever_the_choice():
    assert choose_page(encode_tiff(np.zeros((3, 4), np.uint8)), 2) == 0
