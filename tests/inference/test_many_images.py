"""Many images share one compiled program, and have the masks of the predictor."""

import cv2
import numpy as np
import pytest

from mst_jax.inference.click_session import Click
from mst_jax.inference.click_table import ImageClicks
from mst_jax.inference.compiled_prediction import predict_prob
from mst_jax.inference.many_images import check_output_files, predict_images
from mst_jax.inference.predictor import Predictor
from mst_jax.interaction.inference_options import ZoomOptions
from tests.helpers.analytic_network import analytic_model, draw_image
from tests.helpers.image_files import write_image

ZOOM = ZoomOptions(size=48, min_side=16)


@pytest.fixture
def tasks(tmp_path):
    """Two images of different padded size, with three objects."""
    tasks = []
    for name, size in (("a.png", (60, 84)), ("sub/b.png", (140, 50))):
        image, _ = draw_image(*size)
        path = tmp_path / "images" / name
        write_image(path, image)
        tasks.append(ImageClicks(name, path, size, {}))
    tasks[0].objects[1] = [Click(20, 42, True), Click(3, 3, False)]
    tasks[0].objects[2] = [Click(50, 10, True)]
    tasks[1].objects[None] = [Click(70, 25, True)]
    return tasks


def read(path):
    return cv2.imread(str(path), cv2.IMREAD_UNCHANGED)


@pytest.mark.parametrize("zoom", [ZOOM, ZoomOptions(size=None)], ids=["zoom", "none"])
def test_masks_are_those_of_the_predictor(tasks, tmp_path, zoom):
    out_dir, overlay_dir = tmp_path / "masks", tmp_path / "overlays"
    predict_images(
        analytic_model, zoom, tasks, out_dir=out_dir, overlay_dir=overlay_dir
    )
    names = [("a_1.png", "a_2.png"), ("sub/b.png",)]
    for task, mask_names in zip(tasks, names, strict=True):
        image = read(task.path)[..., ::-1]
        for mask_name, clicks in zip(mask_names, task.objects.values(), strict=True):
            predictor = Predictor(analytic_model, zoom=zoom)
            predictor.set_image(np.ascontiguousarray(image))
            for click in clicks:
                predictor.click(*click)
            mask = read(out_dir / mask_name)
            assert mask.dtype == np.uint8
            np.testing.assert_array_equal(mask, predictor.mask * 255)
    assert read(overlay_dir / "a.jpg").shape == (60, 84, 3)
    files = {path.name for path in tmp_path.rglob("*") if path.is_file()}
    assert files == {"a.png", "b.png", "a_1.png", "a_2.png", "a.jpg", "b.jpg"}


def test_all_images_share_one_program(tasks, tmp_path):
    predict_prob.clear_cache()
    predict_images(analytic_model, ZOOM, tasks, out_dir=tmp_path / "masks")
    assert predict_prob._cache_size() == 1


def test_empty_masks_are_returned(tasks, tmp_path):
    def empty_model(image, clicks, prev_mask):
        return prev_mask - 9.0

    empty = predict_images(empty_model, ZOOM, tasks, out_dir=tmp_path / "masks")
    assert [path.name for path in empty] == ["a_1.png", "a_2.png", "b.png"]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"out_dir": "images"}, r"images/sub/b.png is one of the images and would be"),
        ({"out_dir": "images/a.png"}, "is not a folder"),
        ({"overlay_dir": "images/a.png"}, "is not a folder"),
        ({"name": "a_1.jpg"}, r"a.png and a_1.jpg would both be written to .*a_1.png"),
        ({"name": "a.jpg", "overlay_dir": "x"}, r"both be written to .*x/a.jpg"),
    ],
    ids=str,
)
def test_no_file_is_replaced_by_another(tasks, tmp_path, changes, sentence):
    folders = {"out_dir": tmp_path / "masks", "overlay_dir": None}
    for key in folders.keys() & changes.keys():
        folders[key] = tmp_path / changes[key]
    if "name" in changes:
        tasks[1] = tasks[1]._replace(name=changes["name"])
    with pytest.raises(ValueError, match=sentence):
        check_output_files(tasks, **folders)
    check_output_files(tasks[:1], tmp_path / "masks", tmp_path / "masks")
