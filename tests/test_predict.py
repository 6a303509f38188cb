import re
import subprocess
import sys

import cv2
import numpy as np
import pytest

import mst_jax
from mst_jax import export, predict
from mst_jax.data.formats import images
from mst_jax.interaction.inference_options import ZoomOptions
from tests.helpers.analytic_network import draw_image
from tests.helpers.small_checkpoint import write_checkpoint

IMAGE, _ = draw_image(60, 84)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return write_checkpoint(tmp_path_factory.mktemp("models") / "small")


@pytest.fixture
def image_path(tmp_path):
    path = tmp_path / "picture.png"
    path.write_bytes(images.encode_png(IMAGE))
    return path


@pytest.fixture
def command(image_path, checkpoint, tmp_path):
    """Return a function that makes the words of a command; {} stands for the folder."""

    def make(*more, **replaced):
        words = {
            "image": image_path,
            "--checkpoint": checkpoint,
            "--positive": "20,42",
            "--out": tmp_path / "mask.png",
        }
        words |= {
            key if key == "image" else f"--{key}": replaced[key] for key in replaced
        }
        first = [words.pop("image")]
        flags = [word for pair in words.items() if pair[1] is not None for word in pair]
        return [
            str(word).replace("{}", str(tmp_path)) for word in first + flags + [*more]
        ]

    return make


def read(path):
    return cv2.imread(str(path), cv2.IMREAD_UNCHANGED)


def test_mask_and_overlay_are_those_of_the_predictor(
    command, checkpoint, tmp_path, capsys
):
    clicks = ["--negative", "3,3", "--positive", "50.5,70"]
    overlay = ["--overlay", str(tmp_path / "new" / "overlay.png")]
    predict.main(command(*clicks, *overlay))
    predictor = mst_jax.Predictor(mst_jax.load(checkpoint), zoom=ZoomOptions(32, 16))
    predictor.set_image(IMAGE)
    for click in [(20, 42, True), (3, 3, False), (50.5, 70, True)]:
        mask = predictor.click(*click)
    written = read(tmp_path / "mask.png")
    assert written.dtype == np.uint8
    np.testing.assert_array_equal(written, mask * 255)
    drawn = read(tmp_path / "new" / "overlay.png")[..., ::-1]
    assert drawn.shape == IMAGE.shape
    red, green, _ = drawn[3, 3].astype(int)
    assert red > green  # the negative click
    assert capsys.readouterr().out.startswith(f"{tmp_path / 'mask.png'}: ")
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"picture.png", "mask.png", "new"}


def test_the_order_of_clicks_counts(command, monkeypatch):
    clicks = []
    click = mst_jax.Predictor.click
    monkeypatch.setattr(
        mst_jax.Predictor, "click", lambda *a: clicks.append(a[1:]) or click(*a)
    )
    predict.main(command("--negative", "1,2", "--positive", "3,4", "--negative", "5,6"))
    assert clicks == [(20, 42, True), (1, 2, False), (3, 4, True), (5, 6, False)]


def test_zoom_and_flip_can_be_switched_off(command, tmp_path):
    image = cv2.resize(IMAGE, (96, 64))
    (tmp_path / "whole.png").write_bytes(images.encode_png(image))
    words = command("--no-flip-tta", image="{}/whole.png", zoom="none")
    predict.main(words)
    assert read(tmp_path / "mask.png").shape == (64, 96)


@pytest.mark.parametrize(
    "pixels",
    [
        IMAGE[..., 0],
        IMAGE.astype(np.uint16) * 257,
        np.dstack([IMAGE, IMAGE[..., :1]]),
    ],
    ids=["gray", "16 bits", "alpha"],
)
def test_images_of_other_formats(pixels, tmp_path):
    path = tmp_path / "picture.png"
    assert cv2.imwrite(str(path), pixels)
    image = predict.open_image(path)
    assert image.shape == IMAGE.shape and image.dtype == np.uint8


@pytest.mark.parametrize(
    ("replaced", "message"),
    [
        ({"image": "{}/none.jpg"}, "cannot read .*none.jpg: No such file"),
        ({"image": "{}"}, "--out is .*mask.png, expected a folder for many images"),
        ({"image": __file__}, "test_predict.py: not an image"),
        ({"checkpoint": "{}/none"}, "checkpoint .*none is not there"),
        ({"positive": "60,0"}, "row 60, column 0 lies outside the image of 60 rows"),
        ({"positive": "nan,0"}, "lies outside"),
        ({"positive": "3;4"}, "--positive is '3;4', expected ROW,COL"),
        ({"positive": "3"}, "--positive is '3', expected ROW,COL"),
        ({"positive": None}, "no click on the object; give at least one --positive"),
        ({"positive": None, "negative": "3,4"}, "no click on the object"),
        ({"out": "{}/mask.jpg"}, "--out is .*mask.jpg, expected .* .png"),
        ({"out": "{}/picture.png"}, "must be different files"),
        ({"out": "{}/picture.png/mask.png"}, "cannot create the folder"),
        ({"overlay": "{}/overlay.gif"}, "--overlay is .* .png, .jpg, .jpeg"),
        ({"image": "{}/none.jpg", "out": "{}/new/mask.png"}, "cannot read"),
        ({"checkpoint": "{}/none", "overlay": "{}/new/a.png"}, "is not there"),
        ({"overlay": "{}/mask.png"}, "must be different files"),
        ({"zoom": "big"}, "--zoom is 'big', expected a whole number"),
        ({"zoom": "none"}, "not a multiple|whole patches|patch"),
    ],
    ids=str,
)
def test_bad_input_is_one_sentence_and_writes_nothing(
    command, replaced, message, tmp_path, capsys
):
    with pytest.raises(SystemExit) as raised:
        predict.main(command(**replaced))
    assert raised.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1
    assert re.search(message, error), error
    assert [path.name for path in tmp_path.iterdir()] == ["picture.png"]


def test_ctrl_c_leaves_one_line_and_no_file(command, monkeypatch, tmp_path, capsys):
    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    # The last work before the files are written: the mask is made already.
    monkeypatch.setattr(predict.overlay, "draw_overlay", interrupted)
    with pytest.raises(SystemExit) as raised:
        predict.main(command(overlay="{}/new/overlay.png"))
    assert raised.value.code == 130
    assert capsys.readouterr().err == "stopped\n"
    assert [path.name for path in tmp_path.iterdir()] == ["picture.png"]


def test_the_module_is_a_command():
    words = [sys.executable, "-m", "mst_jax.predict"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "--checkpoint" in done.stderr and "Traceback" not in done.stderr


def test_many_images_in_one_call(checkpoint, tmp_path, capsys):
    """A table of clicks; then the same click on all images of a folder."""
    for name, size in (("a.png", (60, 84)), ("sub/b.png", (50, 40))):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(images.encode_png(draw_image(*size)[0]))
    table = tmp_path / "photos" / "clicks.csv"
    table.write_text(
        "image,row,column,positive\na.png,20,42,1\nsub/b.png,9,9,1\na.png,3,3,0\n"
    )
    flags = ["--checkpoint", str(checkpoint), "--out", str(tmp_path / "masks")]
    overlay = ["--overlay", str(tmp_path / "overlays")]
    predict.main(["--clicks", str(table), *flags, *overlay])
    printed = capsys.readouterr()
    assert printed.out.startswith(f"{tmp_path / 'masks'}: 2 masks of 2 images")
    assert "2/2" in printed.err
    predictor = mst_jax.Predictor(mst_jax.load(checkpoint), zoom=ZoomOptions(32, 16))
    predictor.set_image(IMAGE)
    for click in [(20, 42, True), (3, 3, False)]:
        mask = predictor.click(*click)
    np.testing.assert_array_equal(read(tmp_path / "masks" / "a.png"), mask * 255)
    assert read(tmp_path / "masks" / "sub" / "b.png").shape == (50, 40)
    assert read(tmp_path / "overlays" / "sub" / "b.jpg").shape == (50, 40, 3)

    predict.main([str(tmp_path / "photos"), "--positive", "20,30", *flags])
    predictor.set_image(IMAGE)
    mask = predictor.click(20, 30)
    np.testing.assert_array_equal(read(tmp_path / "masks" / "a.png"), mask * 255)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["{}/table.csv", "--clicks", "{}/table.csv"],
            "needs the folder of its images",
        ),
        (["{}", "--clicks", "{}/table.csv", "--positive", "1,1"], "no further clicks"),
        (["--clicks", "{}/table.csv", "--tokens", "{}/t.png"], "--tokens draws one"),
        (["{}"], "is a folder; give --clicks FILE, or --positive ROW,COL"),
        (["--positive", "1,1"], "no image given; name one, or a folder, or --clicks"),
        (["--clicks", "{}/table.csv"], "has 1 bad rows, .*\n  line 2: row 99, column"),
        (["--clicks", "{}/none.csv"], "cannot read .*none.csv"),
    ],
    ids=str,
)
def test_bad_input_of_many_images_writes_nothing(
    image_path, tmp_path, words, message, capsys
):
    (tmp_path / "table.csv").write_text("image,row,column\npicture.png,99,1\n")
    words = [word.replace("{}", str(tmp_path)) for word in words]
    with pytest.raises(SystemExit) as raised:
        predict.main([*words, "--out", str(tmp_path / "masks")])
    assert raised.value.code == 2
    assert re.search(message, capsys.readouterr().err)
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"picture.png", "table.csv"}


def test_exported_file_predicts_the_mask_of_its_model(
    command, checkpoint, tmp_path, capsys
):
    exported = tmp_path / "network.onnx"
    export.main([str(checkpoint), str(exported)])
    masks = []
    for path in (checkpoint, exported):
        predict.main(command(checkpoint=path))
        masks.append((tmp_path / "mask.png").read_bytes())
    assert masks[0] == masks[1]
    with pytest.raises(SystemExit):
        predict.main(command(checkpoint=exported, zoom=16))
    assert "was exported for images of" in capsys.readouterr().err
