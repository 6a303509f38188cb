import json

import numpy as np
import pytest

from mst_jax.annotation.errors import RequestRejected
from mst_jax.annotation.files.export_formats import LabeledMask, SessionExport
from mst_jax.annotation.files.image_folder import ImageFolder
from mst_jax.annotation.limits import Limits
from mst_jax.annotation.sessions.autosave import Autosave
from mst_jax.data.formats.images import encode_png
from mst_jax.data.formats.label_maps import read_label_map
from tests.helpers.annotation_client import IMAGE

same = np.testing.assert_array_equal


@pytest.fixture
def image_folder(tmp_path):
    (tmp_path / "photos" / "more").mkdir(parents=True)
    (tmp_path / "photos" / "more" / "a.png").write_bytes(encode_png(IMAGE))
    return ImageFolder(tmp_path / "photos", Limits())


def make_objects() -> list[LabeledMask]:
    rng = np.random.default_rng(0)
    first_mask, second_mask = rng.random((2, 60, 84)) < 0.5
    return [
        LabeledMask(3, "cat", "#123456", first_mask),
        LabeledMask(5, "dog", "#654321", second_mask),
    ]


def make_export(objects) -> SessionExport:
    return SessionExport("more/a.png", b"", 60, 84, lambda: iter(objects), {})


def test_saved_objects_are_restored_with_overlaps_and_names(image_folder, tmp_path):
    autosave, objects = Autosave(tmp_path / "masks", image_folder), make_objects()
    assert autosave.read_objects("more/a.png", 60, 84) == []
    autosave.write_objects(make_export(objects))
    restored_objects = autosave.read_objects("more/a.png", 60, 84)
    for restored, expected in zip(restored_objects, objects, strict=True):
        assert restored[:3] == expected[:3]
        same(restored.mask, expected.mask)
    label_map = read_label_map(tmp_path / "masks" / "more" / "a.png")
    same(label_map == 5, objects[1].mask)
    autosave.write_objects(make_export([]))
    assert autosave.read_objects("more/a.png", 60, 84) == []
    assert not read_label_map(tmp_path / "masks" / "more" / "a.png").any()


def test_images_that_would_share_output_files_are_an_error(image_folder, tmp_path):
    (tmp_path / "photos" / "more" / "a.bmp").write_bytes(encode_png(IMAGE))
    with pytest.raises(ValueError, match=r"a\.bmp and more/a\.png"):
        Autosave(tmp_path / "masks", image_folder)


def test_damaged_files_and_those_of_another_image_are_rejected(image_folder, tmp_path):
    autosave = Autosave(tmp_path / "masks", image_folder)
    autosave.write_objects(make_export(make_objects()))
    with pytest.raises(RequestRejected, match=r"a\.json"):
        autosave.read_objects("more/a.png", 61, 84)
    for text in ("", "[]", "{}", json.dumps({"categories": [], "annotations": [{}]})):
        (tmp_path / "masks" / "more" / "a.json").write_text(text)
        with pytest.raises(RequestRejected, match=r"a\.json"):
            autosave.read_objects("more/a.png", 60, 84)
