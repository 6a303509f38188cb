import os

import numpy as np
import pytest

from mst_jax.annotation.files.image_folder import PictureFolder
from mst_jax.annotation.limits import Limits, Refused
from mst_jax.data.formats.images import decode_picture, encode_jpeg, encode_png
from tests.helpers.annotation_client import IMAGE

LIMITS = Limits(pixels=100_000, body_bytes=10**6)


@pytest.fixture
def root(tmp_path):
    root = tmp_path / "photos"
    (root / "more" / ".hidden").mkdir(parents=True)
    (root / "b.png").write_bytes(encode_png(IMAGE))
    (root / "more" / "a ä.JPG").write_bytes(encode_jpeg(IMAGE[:40]))
    (root / "more" / ".hidden" / "c.png").write_bytes(encode_png(IMAGE))
    (root / "notes.txt").write_text("no picture")
    (root / "broken.png").write_bytes(b"no picture")
    (tmp_path / "secret.png").write_bytes(encode_png(IMAGE))
    return root


def test_pictures_are_listed_by_name_with_their_size(root):
    assert PictureFolder(root, LIMITS).pictures() == [
        ("b.png", 60, 84),
        ("more/a ä.JPG", 40, 84),
    ]


def test_a_picture_that_changed_is_measured_again(root):
    folder = PictureFolder(root, LIMITS)
    folder.pictures()
    before = folder.source("b.png")
    (root / "b.png").write_bytes(encode_png(IMAGE[:10]))
    os.utime(root / "b.png", (1, 1))
    assert folder.pictures()[0] == ("b.png", 10, 84)
    assert folder.source("b.png") != before


def test_thumbnails_are_small_and_not_stretched(root):
    wide = np.zeros((100, 900, 3), np.uint8)
    (root / "wide.png").write_bytes(encode_png(wide))
    folder = PictureFolder(root, LIMITS)
    assert decode_picture(folder.thumbnail("wide.png")).shape == (21, 192, 3)
    assert decode_picture(folder.thumbnail("b.png")).shape == (60, 84, 3)
    with pytest.raises(Refused):
        folder.thumbnail("broken.png")


@pytest.mark.parametrize(
    "name",
    [
        *("../secret.png", "more/../../secret.png", "/etc/passwd", "", ".", "..", "//"),
        *("more", "notes.txt", "nothing.png", "b.png/", "./b.png", "b.png\0.png"),
        *("more/.hidden/c.png", "x" * 5000 + ".png", "..\\secret.png", "link.png"),
        *("folder/secret.png", "loop.png", "ABSOLUTE"),
    ],
)
def test_names_that_lead_out_or_nowhere_are_refused(root, tmp_path, name):
    (root / "link.png").symlink_to(tmp_path / "secret.png")
    (root / "folder").symlink_to(tmp_path)
    (root / "loop.png").symlink_to(root / "loop.png")
    if name == "ABSOLUTE":
        name = str(root / "b.png")
    folder = PictureFolder(root, LIMITS)
    for act in (folder.read, folder.thumbnail, folder.source):
        with pytest.raises(Refused, match="has no picture") as caught:
            act(name)
        assert caught.value.status_code == 404
    assert len(folder.pictures()) == 2


def test_links_within_the_folder_are_followed(root):
    (root / "again.png").symlink_to(root / "b.png")
    assert PictureFolder(root, LIMITS).read("again.png") == encode_png(IMAGE)


def test_a_file_over_the_limit_is_refused(root):
    folder = PictureFolder(root, Limits(body_bytes=100))
    with pytest.raises(Refused, match="too large") as caught:
        folder.read("b.png")
    assert caught.value.status_code == 413


def test_a_folder_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(ValueError, match="--folder"):
        PictureFolder(tmp_path / "nothing", LIMITS)
