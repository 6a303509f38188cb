"""Labels with keys, and the exchange of masks with the whole folder."""

import io
import json
import zipfile

import cv2
import numpy as np
import pytest

from mst_jax.data.formats.images import encode_png
from tests.helpers.browser import serve
from tests.helpers.image_files import draw_soft_mask
from tests.helpers.page_driver import PageDriver, delete_folder_objects
from tests.helpers.token_model import write_token_model

pytestmark = pytest.mark.browser

LABELS = ("disk", "corner")
SQUARE = [[10, 10, 20, 10, 20, 20, 10, 20]]


@pytest.fixture(scope="module")
def labeled_server_url(image_dir, tmp_path_factory):
    """Start a server with a fixed list of labels; return its URL."""
    folder = tmp_path_factory.mktemp("labeled")
    (folder / "labels.txt").write_text("\n".join(LABELS))
    model_dir = write_token_model(folder / "token model")
    flags = ["--sessions", folder / "sessions", "--labels", folder / "labels.txt"]
    with serve(model_dir, *flags, "--folder", image_dir / "folder") as server_url:
        yield server_url


@pytest.fixture
def labeled_page(context, labeled_server_url):
    """Return a page of the server with fixed labels."""
    delete_folder_objects(context.request, labeled_server_url)
    page = PageDriver(context, labeled_server_url)
    page.wait_for_session(other_than=None)
    page.tab.wait_for_selector("#label-list li:nth-child(2)")
    yield page
    assert page.external_requests == []


def test_keys_label_the_current_object_and_the_next_ones(labeled_page):
    page = labeled_page
    page.open_listed("scene 0.png")
    assert not page.tab.locator("#edit-labels").is_visible()
    page.click(42, 20)
    page.press_key("2")
    page.press_key("Space")
    page.click(70, 50)
    assert page.current_object["name"] == "corner"
    page.tab.get_by_role("button", name="1 disk").click(delay=page.press_ms)
    page.wait_until_saved()
    page.press_key("Space")
    assert [item["name"] for item in page.objects] == ["corner", "disk"]
    # A name that is not in the list is refused, and the old one comes back.
    name_input = page.tab.get_by_label("Object name").first
    name_input.fill("cat")
    name_input.press("Enter")
    page.tab.wait_for_selector(".toast")
    page.tab.wait_for_function(
        "() => document.querySelector('.object-name').value === 'corner'"
    )
    page.console_errors.clear()


def test_whole_folder_is_exported_by_button(labeled_page):
    page = labeled_page
    # 1. One object in each of two images.
    for key, name in (("1", "scene 1.png"), ("2", "scene 2.png")):
        page.open_listed(name)
        page.click(42, 20)
        page.press_key(key)
        page.press_key("Space")
    (mask,) = page.fetch_masks().values()
    # 2. One COCO file; the categories are those of the list.
    coco = json.loads(export_folder(page, "coco_rle"))
    category_names = {item["id"]: item["name"] for item in coco["categories"]}
    assert (category_names[1], category_names[2]) == LABELS
    file_names = {item["id"]: item["file_name"] for item in coco["images"]}
    labels = {
        file_names[item["image_id"]]: category_names[item["category_id"]]
        for item in coco["annotations"]
    }
    assert labels == {"scene 1.png": "disk", "scene 2.png": "corner"}
    # 3. A label map of each image.
    with zipfile.ZipFile(io.BytesIO(export_folder(page, "labels"))) as archive:
        (name,) = (name for name in archive.namelist() if "scene 2" in name)
        png_data = np.frombuffer(archive.read(name), np.uint8)
    label_map = cv2.imdecode(png_data, cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(label_map != 0, mask)


def test_coco_file_is_imported_into_the_folder(page, tmp_path):
    coco = {
        "images": [{"id": 5, "file_name": "scene 1.png", "width": 84, "height": 61}],
        "categories": [{"id": 1, "name": "square"}],
        "annotations": [
            {"id": 1, "image_id": 5, "category_id": 1, "segmentation": SQUARE}
        ],
    }
    (tmp_path / "masks.json").write_text(json.dumps(coco))
    page.open_listed("scene 1.png")
    num_objects = len(page.objects)
    page.tab.set_input_files("#import-file-input", tmp_path / "masks.json")
    page.tab.wait_for_selector(".toast")
    assert page.last_toast().startswith("1 object in 1 image was added.")
    page.tab.wait_for_function(
        "count => document.querySelectorAll('#object-list li').length === count",
        arg=num_objects + 1,
    )
    imported = page.objects[-1]
    assert (imported["name"], imported["finished"]) == ("square", True)
    mask = page.fetch_masks()[imported["id"]]
    assert mask[10:20, 10:20].all() and mask.sum() <= 11 * 11


def test_smoothed_mask_is_read_by_threshold_after_a_question(page, tmp_path):
    image = np.full((60, 84, 4), 200, np.uint8)
    image[:30, :, 3] = 90
    assert cv2.imwrite(str(tmp_path / "clear.png"), image)
    page.open_images(tmp_path / "clear.png")
    assert page.last_toast() == "clear.png: transparency is composed on white."
    (tmp_path / "soft.png").write_bytes(encode_png(draw_soft_mask()))
    page.tab.set_input_files("#mask-file-input", tmp_path / "soft.png")
    page.tab.get_by_role("button", name="Use the threshold").click()
    page.tab.wait_for_selector("#object-list li")
    page.wait_until_saved()
    (mask,) = page.fetch_masks().values()
    np.testing.assert_array_equal(mask, draw_soft_mask() > 127)
    assert all("415" in error for error in page.console_errors)
    page.console_errors.clear()
    # Label maps of the folder: the same question, and nothing is added twice.
    page.open_listed("scene 0.png")
    with zipfile.ZipFile(tmp_path / "maps.zip", "w") as archive:
        archive.writestr("scene 0.png", encode_png(draw_soft_mask()))
        archive.writestr("scene 1.png", encode_png(np.eye(61, 84, dtype=np.uint8)))
    page.tab.set_input_files("#import-file-input", tmp_path / "maps.zip")
    page.tab.get_by_role("button", name="Use the threshold").click()
    page.tab.wait_for_selector("#object-list li")
    (mask,) = page.fetch_masks().values()
    np.testing.assert_array_equal(mask, draw_soft_mask() > 127)
    page.open_listed("scene 1.png")
    assert len(page.objects) == 1


def test_zip_of_label_maps_is_imported_and_what_is_skipped_is_named(page, tmp_path):
    label_map = np.zeros((61, 84), np.uint8)
    label_map[:10], label_map[30:40, 20:50] = 3, 9
    page.open_listed("scene 1.png")
    with zipfile.ZipFile(tmp_path / "maps.zip", "w") as archive:
        archive.writestr("scene 1_0.png", encode_png(label_map))
        archive.writestr("scene 1_1.png", encode_png((label_map == 9) * np.uint8(1)))
        archive.writestr("scene 2.png", encode_png(label_map))  # has another size
        archive.writestr("elsewhere.png", encode_png(label_map))
    page.tab.set_input_files("#import-file-input", tmp_path / "maps.zip")
    page.tab.wait_for_selector(".toast")
    assert page.last_toast().startswith("3 objects in 1 image were added.")
    assert "scene 2.png" in page.last_toast()
    page.tab.wait_for_function(
        "() => document.querySelectorAll('#object-list li').length === 3"
    )
    assert all(item["finished"] for item in page.objects)
    masks = page.fetch_masks()
    for object_id, label in ((1, 3), (2, 9), (3, 9)):
        mask = masks[page.objects[object_id - 1]["id"]]
        np.testing.assert_array_equal(mask, label_map == label)


def test_remarks_are_shown_again_after_a_reload(page, tmp_path):
    image = np.full((60, 84, 4), 200, np.uint8)
    image[:30, :, 3] = 90
    assert cv2.imwrite(str(tmp_path / "veil.png"), image)
    page.open_images(tmp_path / "veil.png")
    remark = "veil.png: transparency is composed on white."
    assert page.last_toast() == remark
    page.open_listed("scene 0.png")
    page.tab.locator("#image-list button[title='veil.png']").click()
    page.wait_for_image("veil.png")
    assert page.tab.locator(".toast").count() == 0
    page.tab.reload()
    page.tab.wait_for_selector(".toast")
    assert page.last_toast() == remark


def test_labels_are_edited_on_the_page(page):
    page.tab.locator("#edit-labels").click()
    page.tab.locator("#add-label").click()
    name = f"person {page.tab.locator('#label-rows input').count()}"
    page.tab.locator("#label-rows input").last.fill(name)
    page.tab.get_by_role("button", name="Save").click(delay=page.press_ms)
    label = page.tab.get_by_role("button", name=name)
    label.wait_for()
    page.click(42, 20)
    label.click(delay=page.press_ms)
    page.wait_until_saved()
    assert page.current_object["name"] == name
    # A label that objects carry cannot be removed; the dialog says so.
    page.tab.locator("#edit-labels").click()
    page.tab.get_by_label("Remove label").last.click()
    page.tab.get_by_role("button", name="Save").click(delay=page.press_ms)
    page.tab.wait_for_selector("#label-error:not(:empty)")
    page.tab.get_by_role("button", name="Cancel").click()
    assert all("409" in error for error in page.console_errors)
    page.console_errors.clear()


def export_folder(page, format_name):
    """Export the whole folder through the menu, and return the content of the file."""
    with page.tab.expect_download() as download:
        page.tab.click("#export-button")
        page.tab.click(f"[data-folder-format={format_name}]")
    with open(download.value.path(), "rb") as file:
        return file.read()
