import json

import numpy as np
import pytest

from mst_jax.annotation.errors import RequestRejected
from mst_jax.annotation.files.export_formats import LabeledMask, SessionExport
from mst_jax.annotation.sessions.save_folder import SaveFolder
from mst_jax.data.formats.images import encode_png
from mst_jax.data.formats.label_maps import read_label_map
from tests.helpers.annotation_client import insert_session

same = np.testing.assert_array_equal


@pytest.fixture
def save_folder(database, tmp_path):
    return SaveFolder(tmp_path / "masks", database)


def make_objects() -> list[LabeledMask]:
    rng = np.random.default_rng(0)
    first_mask, second_mask = rng.random((2, 60, 84)) < 0.5
    return [
        LabeledMask(3, "cat", "#123456", first_mask),
        LabeledMask(5, None, "#654321", second_mask),
    ]


def make_export(objects) -> SessionExport:
    categories = {"cat": 4, "object": 2}
    return SessionExport(
        "more/a.png", b"", 60, 84, lambda: iter(objects), {}, categories
    )


def test_saved_objects_are_restored_with_overlaps_and_labels(save_folder, tmp_path):
    objects = make_objects()
    assert save_folder.read_objects("more/a", 60, 84) == []
    save_folder.write_objects("more/a", make_export(objects))
    restored_objects = save_folder.read_objects("more/a", 60, 84)
    for restored, expected in zip(restored_objects, objects, strict=True):
        assert restored[:3] == expected[:3]
        same(restored.mask, expected.mask)
    label_map = read_label_map(tmp_path / "masks" / "more" / "a.png")
    same(label_map == 5, objects[1].mask)
    names = ["a.png", "more/a.bmp", "more/a.png", "more/b.png"]
    assert save_folder.find_annotated(names) == {"more/a.bmp"}
    save_folder.write_objects("more/a", make_export([]))
    assert save_folder.read_objects("more/a", 60, 84) == []
    assert not read_label_map(tmp_path / "masks" / "more" / "a.png").any()
    assert not (tmp_path / "sessions" / "replaced").exists()


def test_files_of_others_are_moved_away_not_overwritten(save_folder, tmp_path):
    path = tmp_path / "masks" / "more" / "a.png"
    path.parent.mkdir(parents=True)
    for index in range(2):
        content = encode_png(np.full((60, 84), index, np.uint8))
        path.write_bytes(content)
        save_folder.write_objects("more/a", make_export(make_objects()))
        assert read_label_map(path).max() == 5
    replaced_dir = tmp_path / "sessions" / "replaced" / "more"
    assert sorted(item.name for item in replaced_dir.iterdir()) == ["a.png", "a.png.1"]
    assert read_label_map(replaced_dir / "a.png").max() == 0


def test_missing_and_changed_files_are_found(save_folder, tmp_path):
    for stem in ("a", "b", "c"):
        save_folder.write_objects(stem, make_export(make_objects()))
    assert save_folder.find_changed_stems() == set()
    (tmp_path / "masks" / "b.png").unlink()
    (tmp_path / "masks" / "c.json").write_text("{}")
    (tmp_path / "masks" / "foreign.png").write_bytes(b"")
    assert save_folder.find_changed_stems() == {"b", "c"}


def test_crash_between_two_writes_moves_nothing_away(
    save_folder, tmp_path, monkeypatch
):
    save_folder.write_objects("a", make_export(make_objects()))

    def crash(path, data, **options):
        raise OSError("killed")

    with monkeypatch.context() as patch:
        patch.setattr("mst_jax.annotation.sessions.save_folder.atomic_write", crash)
        with pytest.raises(OSError, match="killed"):
            save_folder.write_objects("a", make_export([]))
    save_folder.write_objects("a", make_export(make_objects()[:1]))
    assert not (tmp_path / "sessions" / "replaced").exists()


@pytest.mark.parametrize(
    ("name", "siblings", "taken", "stem"),
    [
        ("x/a.jpg", ["x/a.jpg", "x/b.jpg"], [], "x/a"),
        ("x/a.jpg", ["x/a.jpg", "x/a.png"], [], "x/a"),
        ("x/a.png", ["x/a.jpg", "x/a.png"], [], "x/a.png"),
        ("a.png", ["a.png"], ["a"], "a.png"),
        ("a.png", ["a.png"], ["a", "a.png"], "a.png-1"),
    ],
)
def test_each_image_has_files_of_its_own(
    save_folder, database, name, siblings, taken, stem
):
    for index, output_stem in enumerate(taken):
        insert_session(database, f"s{index}", output_stem=output_stem)
    assert save_folder.choose_stem(name, siblings) == stem


def test_damaged_files_and_those_of_another_image_are_rejected(save_folder, tmp_path):
    save_folder.write_objects("a", make_export(make_objects()))
    with pytest.raises(RequestRejected, match=r"a\.json"):
        save_folder.read_objects("a", 61, 84)
    annotation = json.loads((tmp_path / "masks" / "a.json").read_text())
    repeated = annotation | {"annotations": annotation["annotations"] * 2}
    too_large = json.loads(json.dumps(annotation))
    too_large["annotations"][0]["id"] = 65535
    for tree in (
        "",
        [],
        {},
        {"categories": [], "annotations": [{}]},
        repeated,
        too_large,
    ):
        (tmp_path / "masks" / "a.json").write_text(
            json.dumps(tree) if tree != "" else ""
        )
        with pytest.raises(RequestRejected, match=r"a\.json"):
            save_folder.read_objects("a", 60, 84)
