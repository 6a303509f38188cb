import json

import numpy as np
import pytest

from mst_jax.annotation.files.export_formats import Export, Named
from mst_jax.annotation.files.image_folder import PictureFolder
from mst_jax.annotation.limits import Limits, Refused
from mst_jax.annotation.sessions.autosave import Saved
from mst_jax.data.formats.images import encode_png, read_labels
from tests.helpers.annotation_client import IMAGE

same = np.testing.assert_array_equal


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "photos" / "more").mkdir(parents=True)
    (tmp_path / "photos" / "more" / "a.png").write_bytes(encode_png(IMAGE))
    return PictureFolder(tmp_path / "photos", Limits())


def two_objects() -> list[Named]:
    rng = np.random.default_rng(0)
    masks = rng.random((2, 60, 84)) < 0.5
    return [Named(3, "cat", "#123456", masks[0]), Named(5, "dog", "#654321", masks[1])]


def export_of(objects) -> Export:
    return Export("more/a.png", b"", 60, 84, lambda: iter(objects), {})


def test_what_is_saved_is_read_again_overlaps_and_all(folder, tmp_path):
    saved, objects = Saved(tmp_path / "masks", folder), two_objects()
    assert saved.read("more/a.png", 60, 84) == []
    saved.write(export_of(objects))
    for got, want in zip(saved.read("more/a.png", 60, 84), objects, strict=True):
        assert got[:3] == want[:3]
        same(got.mask, want.mask)
    labels = read_labels(tmp_path / "masks" / "more" / "a.png")
    same(labels == 5, objects[1].mask)
    saved.write(export_of([]))
    assert saved.read("more/a.png", 60, 84) == []
    assert not read_labels(tmp_path / "masks" / "more" / "a.png").any()


def test_pictures_that_would_share_a_file_are_refused(folder, tmp_path):
    (tmp_path / "photos" / "more" / "a.bmp").write_bytes(encode_png(IMAGE))
    with pytest.raises(ValueError, match=r"a\.bmp and more/a\.png"):
        Saved(tmp_path / "masks", folder)


def test_saved_files_of_another_picture_are_refused(folder, tmp_path):
    saved = Saved(tmp_path / "masks", folder)
    saved.write(export_of(two_objects()))
    with pytest.raises(Refused, match=r"a\.json"):
        saved.read("more/a.png", 61, 84)
    for text in ("", "[]", "{}", json.dumps({"categories": [], "annotations": [{}]})):
        (tmp_path / "masks" / "more" / "a.json").write_text(text)
        with pytest.raises(Refused, match=r"a\.json"):
            saved.read("more/a.png", 60, 84)
