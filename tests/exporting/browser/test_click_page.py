"""The page without a server in Chromium: masks, history, storage, exports, loading."""

import io
import json
import zipfile

import cv2
import numpy as np
import pytest
from pycocotools import mask as coco_mask

from mst_jax.annotation.files.polygons import to_polygons
from mst_jax.inference.predictor import Predictor
from tests.helpers.analytic_network import analytic_model
from tests.helpers.local_page_driver import LocalPageDriver

pytestmark = pytest.mark.browser

# Clicks (x, y, whether they are positive) on the cup, the spoon and the table.
CUP = [(150, 95, True), (200, 120, True), (60, 40, False)]
SPOON = [(250, 70, True), (255, 130, True)]
TABLE = [(20, 180, True), (140, 190, True), (100, 120, False)]
MAX_DIFFERENT = 0.0005  # of the pixels: rounding of exp() differs


def click_all(page, clicks):
    for x, y, is_positive in clicks:
        page.click(x, y, keys=() if is_positive else ("Shift",))


def click_in_python(predictor, clicks):
    for x, y, is_positive in clicks:
        predictor.click(y, x, is_positive)
    return predictor.mask


@pytest.fixture
def predictor(photo, zoom):
    predictor = Predictor(analytic_model, zoom=zoom)
    predictor.set_image(photo)
    return predictor


def assert_masks_agree(mask, expected):
    assert expected.any() and not expected.all()
    assert (mask != expected).mean() <= MAX_DIFFERENT


def decode_png(data):
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)


def fill_polygons(polygons, size):
    """Fill polygons of COCO with the even-odd rule."""
    mask = np.zeros(size, bool)
    for polygon in polygons:
        (encoded,) = coco_mask.frPyObjects([polygon], *size)
        mask ^= coco_mask.decode(encoded).astype(bool)
    return mask


def read_masks(page):
    """Return the masks of the exports by object ID; all formats have the same."""
    _, label_map = page.export("labels")
    _, coco = page.export("coco_rle")
    _, archive = page.export("zip")
    ids = decode_png(label_map)
    annotations = json.loads(coco)["annotations"]
    masks = {
        item["id"]: coco_mask.decode(item["segmentation"]).astype(bool)
        for item in annotations
    }
    for item in json.loads(page.export("coco")[1])["annotations"]:
        mask = fill_polygons(item["segmentation"], ids.shape)
        np.testing.assert_array_equal(mask, masks[item["id"]])
    with np.load(io.BytesIO(page.export("numpy")[1])) as arrays:
        assert arrays["names"].tolist() == [[str(id), "object"] for id in masks]
        for object_id, mask in masks.items():
            assert arrays[str(object_id)].dtype == bool
            np.testing.assert_array_equal(arrays[str(object_id)], mask)
    with zipfile.ZipFile(io.BytesIO(archive)) as files:
        assert files.testzip() is None
        assert json.loads(files.read("coco_rle.json"))["annotations"] == annotations
        assert files.read("labels.png") == label_map
        for object_id, mask in masks.items():
            png_mask = decode_png(files.read(f"masks/{object_id}.png"))
            np.testing.assert_array_equal(png_mask, mask * np.uint8(255))
    # Later objects cover earlier ones.
    expected_ids = np.zeros_like(ids)
    for object_id, mask in masks.items():
        expected_ids[mask] = object_id
    np.testing.assert_array_equal(ids, expected_ids)
    return masks


def test_masks_of_three_objects_are_those_of_python(page, predictor):
    click_all(page, CUP)
    page.press_key("Space")
    click_all(page, SPOON[:1])
    page.reload()
    click_all(page, SPOON[1:])
    page.press_key("Space")
    click_all(page, TABLE)
    page.press_key("Space")
    masks = read_masks(page)
    assert list(masks) == [1, 2, 3]
    for mask, clicks in zip(masks.values(), (CUP, SPOON, TABLE), strict=True):
        assert_masks_agree(mask, click_in_python(predictor, clicks))
        predictor.reset()


def test_undo_and_redo_are_exact_and_survive_a_reload(page):
    stored_masks = []
    for clicks in ([], CUP[:1], CUP[1:2]):
        click_all(page, clicks)
        stored_masks.append(page.fetch_masks().get(1))
    page.press_key("z")
    page.reload()
    np.testing.assert_array_equal(page.fetch_masks()[1], stored_masks[1])
    page.press_key("y")
    np.testing.assert_array_equal(page.fetch_masks()[1], stored_masks[2])
    page.press_key("z")
    page.press_key("z")
    assert not page.fetch_masks()[1].any()
    # A new click ends the redo history.
    click_all(page, TABLE[:1])
    assert not page.fetch_session()["objects"][0]["can_redo"]


def test_removing_a_click_predicts_the_mask_of_the_others(page, predictor):
    click_all(page, CUP)
    page.tab.click("#click-list button[title='Delete click 2']")
    page.wait_until_saved()
    assert len(page.objects[0]["clicks"]) == 2
    expected = click_in_python(predictor, [CUP[0], CUP[2]])
    assert_masks_agree(page.fetch_masks()[1], expected)


def test_a_click_corrects_a_painted_mask(page, predictor):
    click_all(page, CUP[:1])
    page.press_key("b")
    page.drag((40, 150), (120, 160), (200, 150))
    painted_mask = page.fetch_masks()[1]
    page.press_key("c")
    click_all(page, CUP[2:])
    predictor.load_mask(painted_mask)
    expected = click_in_python(predictor, CUP[2:])
    assert_masks_agree(page.fetch_masks()[1], expected)
    page.press_key("z")
    np.testing.assert_array_equal(page.fetch_masks()[1], painted_mask)


def test_labels_name_the_categories_of_coco(page):
    page.run_script(
        "const {requestJson} = await import('/static/server/api_client.js');"
        "await requestJson('PUT', '/labels', {labels: [{name: 'cup'}, {name: 'spoon'}]});"
    )
    page.reload()
    page.press_key("2")
    click_all(page, SPOON)
    _, data = page.export("coco_rle")
    coco = json.loads(data)
    (annotation,) = coco["annotations"]
    names = {item["id"]: item["name"] for item in coco["categories"]}
    assert names[annotation["category_id"]] == "spoon"
    assert annotation["area"] == page.objects[0]["area"]


def test_a_label_map_of_the_page_can_be_loaded_again(page):
    click_all(page, CUP)
    page.press_key("Space")
    click_all(page, TABLE[:1])
    name, data = page.export("labels")
    before = decode_png(data)
    file = {"name": name, "mimeType": "image/png", "buffer": data}
    page.tab.set_input_files("#mask-file-input", [file])
    page.tab.wait_for_selector("#object-list > li:nth-child(4)")
    masks = page.fetch_masks()
    np.testing.assert_array_equal(masks[3], before == 1)
    np.testing.assert_array_equal(masks[4], before == 2)


def test_polygons_are_those_of_the_annotation_server(page):
    rng = np.random.default_rng(0)
    masks = [rng.random((9, 12)) < density for density in (0.1, 0.5, 0.7, 0.95, 1)]
    masks += [np.kron(mask, np.ones((3, 2), bool)) for mask in masks]
    all_polygons = page.run_script(
        "const {toPolygons} = await import('/local/files/polygons.js');"
        "return a[0].map(({mask, width, height}) =>"
        " toPolygons(Uint8Array.from(mask), {width, height}));",
        [
            {
                "mask": mask.ravel().tolist(),
                "width": mask.shape[1],
                "height": mask.shape[0],
            }
            for mask in masks
        ],
    )
    for mask, polygons in zip(masks, all_polygons, strict=True):
        np.testing.assert_array_equal(fill_polygons(polygons, mask.shape), mask)
        lengths, expected = (
            sorted(map(len, items)) for items in (polygons, to_polygons(mask))
        )
        assert lengths == expected


def test_png_files_of_other_programs_are_read(page):
    rng = np.random.default_rng(0)
    values = np.cumsum(rng.integers(0, 3, (20, 30)), axis=1)
    for dtype, level in ((np.uint8, 0), (np.uint8, 9), (np.uint16, 9)):
        parameters = [cv2.IMWRITE_PNG_COMPRESSION, level]
        data = cv2.imencode(".png", (values * 4).astype(dtype), parameters)[1]
        png = page.run_script(
            "const {decodeValuesPng} = await import('/local/files/png.js');"
            "const {width, height, values} = await decodeValuesPng(Uint8Array.from(a[0]));"
            "return {width, height, values: [...values]};",
            data.tolist(),
        )
        assert (png["height"], png["width"]) == values.shape
        assert png["values"] == (values * 4).astype(dtype).ravel().tolist()


def test_the_page_runs_with_threads_and_shows_the_time_of_a_click(page):
    assert page.tab.evaluate("crossOriginIsolated")
    click_all(page, CUP[:1])
    assert "ms" in page.tab.inner_text("#latency")
    assert "WebAssembly" in page.tab.get_attribute("#latency", "title")


def test_the_second_visit_does_not_load_the_model_again(page, context, site):
    click_all(page, CUP[:1])
    assert any("/parts/model" in path for path in site.requested_paths)
    site.requested_paths.clear()
    other_tab = LocalPageDriver(context, site.url)
    other_tab.wait_for_session(other_than=None)
    click_all(other_tab, CUP[1:2])
    assert not [path for path in site.requested_paths if "/parts/" in path]


def test_a_click_waits_for_the_model_and_the_progress_is_shown(
    context, site, photo_path
):
    site.held_words.append("/parts/model")
    page = LocalPageDriver(context, site.url)
    page.open_images(photo_path)
    page.tab.wait_for_selector("#progress-message:has-text('Loading the model')")
    assert page.tab.is_visible("#model-progress")
    page.tab.mouse.click(*page.window_position(*CUP[0][:2]))
    page.wait_for_status("Saving 1")
    site.held_words.clear()
    page.tab.wait_for_selector("#model-progress", state="hidden")
    page.wait_until_saved()
    assert page.fetch_masks()[1].any()


def test_a_missing_part_is_reported_and_loaded_by_the_next_click(
    context, site, photo_path, page_dir
):
    (part,) = page_dir.glob("parts/model-*.bin")
    hidden_part = part.with_suffix(".hidden")
    part.rename(hidden_part)
    try:
        page = LocalPageDriver(context, site.url)
        page.tab.wait_for_selector(".toast:has-text('cannot be loaded')")
        page.open_images(photo_path)
    finally:
        hidden_part.rename(part)
    click_all(page, CUP[:1])
    assert page.fetch_masks()[1].any()


def test_a_file_that_is_no_image_is_refused_in_one_sentence(page):
    file = {"name": "notes.png", "mimeType": "image/png", "buffer": b"no image"}
    page.tab.set_input_files("#image-file-input", [file])
    page.tab.wait_for_selector(".toast:has-text('cannot read this file')")
    assert page.tab.title() == "coffee.png"
