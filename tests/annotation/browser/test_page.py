"""Annotate objects on the page: clicks, history, brush, files and export."""

import io
import zipfile

import cv2
import numpy as np
import pytest
from pycocotools import mask as coco_mask

from mst_jax.data.formats import images
from tests.helpers.page_driver import read_coco_annotations

pytestmark = pytest.mark.browser

HEIGHT, WIDTH = 60, 84


def test_objects_survive_a_reload_and_coco_exports_hold_their_masks(page):
    # 1. Two objects, the first one finished.
    page.click(42, 20)
    page.click(10, 50, button="right")
    page.press_key("Space")
    page.click(70, 50)
    page.click(60, 30, keys=["Shift"])
    objects_before = page.objects
    assert [item["clicks"] for item in objects_before] == [
        [[42, 20, True], [10, 50, False]],
        [[70, 50, True], [60, 30, False]],
    ]
    assert [item["finished"] for item in objects_before] == [True, False]
    assert all(item["area"] for item in objects_before)
    assert objects_before[0]["color"] != objects_before[1]["color"]

    # 2. The page after a reload.
    page.tab.reload()
    page.wait_for_session(other_than=None)
    assert page.objects == objects_before
    assert page.current_object == objects_before[1]

    # 3. Masks of the server, and of both COCO formats.
    masks = page.fetch_masks()
    areas = {item["id"]: item["area"] for item in objects_before}
    assert {object_id: mask.sum() for object_id, mask in masks.items()} == areas
    for format_name in ("coco", "coco_rle"):
        file_name, data = page.export(format_name)
        assert file_name.startswith("scene") and file_name.endswith(".json")
        annotations = read_coco_annotations(data)
        assert annotations.keys() == masks.keys()
        for object_id, mask in masks.items():
            segmentation = annotations[object_id]["segmentation"]
            if format_name == "coco":
                polygons = coco_mask.frPyObjects(segmentation, HEIGHT, WIDTH)
                segmentation = coco_mask.merge(polygons)
            decoded = coco_mask.decode(segmentation).astype(bool)
            np.testing.assert_array_equal(decoded, mask)


def test_label_map_numpy_and_zip_exports_hold_the_same_masks(page):
    page.click(42, 20)
    page.press_key("Space")
    page.click(70, 50)
    first_mask, second_mask = page.fetch_masks().values()
    _, png_data = page.export("labels")
    label_map = cv2.imdecode(np.frombuffer(png_data, np.uint8), cv2.IMREAD_UNCHANGED)
    expected = np.where(second_mask, 2, first_mask.astype(int))
    np.testing.assert_array_equal(label_map, expected)
    # The archive names arrays by object ID.
    _, npz_data = page.export("numpy")
    np.testing.assert_array_equal(np.load(io.BytesIO(npz_data))["2"], second_mask)
    with page.tab.expect_download() as download:
        page.press_key("Control+s")
    with zipfile.ZipFile(download.value.path()) as archive:
        assert archive.testzip() is None
        expected_files = {"image.png", "labels.png", "masks/2.png"}
        assert expected_files <= set(archive.namelist())


def test_undo_and_redo_restore_masks_exactly(page):
    # 1. Undo and redo of a click.
    page.click(42, 20)
    first_mask = page.fetch_masks()[1]
    page.click(10, 50, button="right")
    second_mask = page.fetch_masks()[1]
    page.press_key("Control+z")
    np.testing.assert_array_equal(page.fetch_masks()[1], first_mask)
    assert len(page.current_object["clicks"]) == 1
    page.press_key("Control+Shift+Z")
    np.testing.assert_array_equal(page.fetch_masks()[1], second_mask)
    # 2. Undo of a reset.
    page.press_button("resetObject")
    assert not page.fetch_masks()[1].any()
    assert page.current_object["area"] == 0
    page.press_button("undo")
    np.testing.assert_array_equal(page.fetch_masks()[1], second_mask)
    # 3. Without a current object, undo selects the last one.
    page.press_key("Space")
    assert page.current_object is None
    page.press_key("Control+z")
    assert page.current_object["id"] == 1


def test_single_clicks_are_deleted_on_the_canvas_and_in_the_list(page):
    page.click(42, 20)
    mask_of_one_click = page.fetch_masks()[1]
    page.click(10, 50)
    page.click(70, 50)
    # Alt + click deletes on the canvas; the second click is then the one at (70, 50).
    page.click(10, 50, keys=["Alt"])
    assert page.current_object["clicks"] == [[42, 20, True], [70, 50, True]]
    page.tab.get_by_label("Delete click 2").click()
    page.wait_until_saved()
    assert page.current_object["clicks"] == [[42, 20, True]]
    np.testing.assert_array_equal(page.fetch_masks()[1], mask_of_one_click)


def test_finished_objects_are_continued_renamed_and_recolored(page):
    # 1. Two finished objects; the first gets a name and a color.
    page.click(42, 20)
    page.press_key("Space")
    page.click(70, 50)
    page.press_key("Space")
    name_input = page.tab.get_by_label("Object name").first
    name_input.click()
    name_input.fill("disk")
    name_input.press("Enter")
    page.tab.locator("input.object-color").first.evaluate(
        "input => { input.value = '#123456'; input.dispatchEvent(new Event('change')); }"
    )
    page.wait_until_saved()
    # 2. A click on the name has selected the first object, so a click continues it.
    page.click(12, 8)
    first, second = page.fetch_session()["objects"]
    attributes = first["name"], first["color"], first["finished"]
    assert attributes == ("disk", "#123456", False)
    assert len(first["clicks"]) == 2 and second["finished"]
    assert page.current_object["id"] == first["object_id"]


def test_brush_and_eraser_change_the_mask_and_can_be_undone(page):
    # 1. The first stroke creates an object, the second one continues it.
    page.tab.locator("#brush-size").fill("40")
    page.press_key("b")
    page.drag((20, 10), (40, 10))
    painted_mask = page.fetch_masks()[1]
    assert painted_mask[10, 20:41].all() and not painted_mask[30:].any()
    page.drag((40, 10), (60, 10))
    assert page.fetch_masks()[1][10, 20:61].all()
    # 2. Erase a part.
    page.press_key("e")
    page.drag((30, 10), (31, 10))
    erased_mask = page.fetch_masks()[1]
    assert not erased_mask[10, 29:32].any()
    assert erased_mask[10, 20] and erased_mask[10, 60]
    assert page.current_object["area"] == erased_mask.sum()
    # 3. Undo both, back to the first stroke.
    page.press_key("Control+z")
    page.press_key("Control+z")
    np.testing.assert_array_equal(page.fetch_masks()[1], painted_mask)
    # 4. The next click corrects the painted mask.
    page.press_key("c")
    page.click(70, 50)
    assert page.current_object["clicks"] == [[70, 50, True]]


def test_label_map_is_loaded_and_its_objects_are_corrected(page, tmp_path):
    label_map = np.zeros((HEIGHT, WIDTH), np.uint8)
    label_map[5:20, 5:20], label_map[30:50, 40:70] = 3, 7
    (tmp_path / "labels.png").write_bytes(images.encode_png(label_map))
    page.tab.set_input_files("#mask-file-input", tmp_path / "labels.png")
    page.tab.wait_for_selector("#object-list li:nth-child(2)")
    first_mask, second_mask = page.fetch_masks().values()
    np.testing.assert_array_equal(first_mask, label_map == 3)
    np.testing.assert_array_equal(second_mask, label_map == 7)
    # Ctrl + click selects the object below the pointer.
    page.click(50, 40, keys=["Control"])
    assert page.current_object["id"] == 2
    page.click(45, 35)
    assert page.current_object["clicks"] == [[45, 35, True]]
    np.testing.assert_array_equal(page.fetch_masks()[1], label_map == 3)


def test_every_image_of_the_folder_keeps_its_annotations(page):
    # Three images of the folder; the uploaded one comes first.
    names = page.tab.locator("#image-list .image-name").all_inner_texts()
    assert names == ["scene.png", "scene 0.png", "scene 1.png", "scene 2.png"]
    page.open_listed("scene 0.png")
    page.click(42, 20)
    page.press_key("Space")
    first_session, area = page.session_id, page.objects[0]["area"]
    # Go to the next image of the folder and back.
    page.press_key("PageDown")
    page.wait_for_image("scene 1.png")
    assert page.session_id != first_session
    page.press_key("PageUp")
    page.wait_for_image("scene 0.png")
    assert page.session_id == first_session
    assert [item["area"] for item in page.objects] == [area]
