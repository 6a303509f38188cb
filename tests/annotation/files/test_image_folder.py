import os

import numpy as np
import pytest

from mst_jax.annotation.errors import RequestRejected
from mst_jax.annotation.files.image_folder import ImageFolder
from mst_jax.annotation.limits import Limits
from mst_jax.data.formats.images import decode_image, encode_jpeg, encode_png
from tests.helpers.annotation_client import IMAGE

LIMITS = Limits(max_pixels=100_000, max_body_bytes=10**6)


@pytest.fixture
def root(tmp_path):
    root = tmp_path / "photos"
    (root / "more" / ".hidden").mkdir(parents=True)
    (root / "b.png").write_bytes(encode_png(IMAGE))
    (root / "more" / "a ä.JPG").write_bytes(encode_jpeg(IMAGE[:40]))
    (root / "more" / ".hidden" / "c.png").write_bytes(encode_png(IMAGE))
    (root / "notes.txt").write_text("no image")
    (root / "broken.png").write_bytes(b"no image")
    (tmp_path / "secret.png").write_bytes(encode_png(IMAGE))
    return root


def test_image_files_are_listed_and_measured(root):
    folder = ImageFolder(root, LIMITS)
    assert set(folder.list_files()) == {"b.png", "more/a ä.JPG", "broken.png"}
    assert folder.measure("b.png") == (60, 84)
    assert folder.measure("more/a ä.JPG") == (40, 84)
    with pytest.raises(RequestRejected, match="readable image"):
        folder.measure("broken.png")


def test_changed_image_is_read_again(root):
    folder = ImageFolder(root, LIMITS)
    modified_before = folder.list_files()["b.png"]
    assert folder.read_image("b.png").height == 60
    (root / "b.png").write_bytes(encode_png(IMAGE[:10]))
    os.utime(root / "b.png", (1, 1))
    assert folder.read_image("b.png").height == 10
    assert folder.list_files()["b.png"] != modified_before


def test_siblings_are_the_images_of_the_same_folder(root):
    (root / "more" / "c.png").write_bytes(encode_png(IMAGE))
    folder = ImageFolder(root, LIMITS)
    assert sorted(folder.list_siblings("more/c.png")) == ["more/a ä.JPG", "more/c.png"]
    assert sorted(folder.list_siblings("b.png")) == ["b.png", "broken.png"]


def test_thumbnails_are_small_and_keep_the_aspect_ratio(root):
    wide_image = np.zeros((100, 900, 3), np.uint8)
    (root / "wide.png").write_bytes(encode_png(wide_image))
    folder = ImageFolder(root, LIMITS)
    assert decode_image(folder.thumbnail("wide.png")).shape == (21, 192, 3)
    assert decode_image(folder.thumbnail("b.png")).shape == (60, 84, 3)
    with pytest.raises(RequestRejected):
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
def test_names_that_lead_out_or_nowhere_are_rejected(root, tmp_path, name):
    (root / "link.png").symlink_to(tmp_path / "secret.png")
    (root / "folder").symlink_to(tmp_path)
    (root / "loop.png").symlink_to(root / "loop.png")
    if name == "ABSOLUTE":
        name = str(root / "b.png")
    folder = ImageFolder(root, LIMITS)
    for method in (folder.read_file, folder.thumbnail, folder.measure):
        with pytest.raises(RequestRejected, match="has no image") as caught:
            method(name)
        assert caught.value.status_code == 404
    assert set(folder.list_files()) == {"b.png", "more/a ä.JPG", "broken.png"}


def test_links_within_the_folder_are_followed(root):
    (root / "again.png").symlink_to(root / "b.png")
    folder = ImageFolder(root, LIMITS)
    assert folder.read_file("again.png") == encode_png(IMAGE)


def test_file_over_the_limit_is_rejected(root):
    folder = ImageFolder(root, Limits(max_body_bytes=100))
    with pytest.raises(RequestRejected, match="too large") as caught:
        folder.read_file("b.png")
    assert caught.value.status_code == 413


def test_missing_folder_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="--folder"):
        ImageFolder(tmp_path / "nothing", LIMITS)
