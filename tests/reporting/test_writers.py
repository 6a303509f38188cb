import json
import sys
import types

import cv2
import numpy as np
import pytest

from mst_jax.reporting import writers
from tests.helpers.tensorboard_events import read_events, read_scalars

PICTURE = np.zeros((6, 8, 3), np.uint8)
PICTURE[:3, :, 0] = 200
PICTURE[3:, :, 2] = 100


def test_the_workdir_gets_lines_and_pictures_and_forgets_what_is_done_again(tmp_path):
    folder = writers.Folder(tmp_path, first=0)
    for step in (1, 2):
        folder.numbers(step, {"loss": 0.5})
    folder.picture(2, PICTURE)
    folder.close()
    read = cv2.imread(str(tmp_path / "pictures" / "00000002.png"))
    np.testing.assert_array_equal(read[..., ::-1], PICTURE)
    writers.Folder(tmp_path, first=1).numbers(2, {"loss": 0.25})
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["loss"] for line in lines] == [0.5, 0.25]


def test_tensorboard_reads_numbers_and_pictures(tmp_path):
    board = writers.TensorBoard(tmp_path, first=0)
    board.numbers(3, {"loss": 0.5, "iou_round1": 0.25, "step_seconds": 2.0})
    board.numbers(4, {"validation_noc90": 7.5})
    board.picture(4, PICTURE)
    board.close()
    assert read_scalars(tmp_path) == {
        ("training/loss", 3): 0.5,
        ("iou/iou_round1", 3): 0.25,
        ("speed/step_seconds", 3): 2.0,
        ("validation/noc90", 4): 7.5,
    }
    (image,) = (
        value.image.encoded_image_string
        for event in read_events(tmp_path)
        for value in event.summary.value
        if value.HasField("image")
    )
    read = cv2.imdecode(np.frombuffer(image, np.uint8), cv2.IMREAD_COLOR)
    np.testing.assert_array_equal(read[..., ::-1], PICTURE)


def test_tensorboard_forgets_what_is_done_again(tmp_path):
    writers.TensorBoard(tmp_path, first=7).close()
    starts = [event.step for event in read_events(tmp_path) if event.session_log.status]
    assert starts == [8]


def test_without_wandb_a_sentence_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(ValueError, match="pip install wandb"):
        writers.WeightsAndBiases(tmp_path, project="clicks", config={})
    assert not list(tmp_path.iterdir())


def test_a_run_that_goes_on_is_the_same_run_at_wandb(tmp_path, monkeypatch):
    """A stand-in that writes down what it is told, as the real one's arguments are."""
    told = []

    def init(*, project, name, id, resume, config):
        told.append((project, name, id, resume, config["steps"]))
        return types.SimpleNamespace(
            id=id or "abc",
            log=lambda numbers, step: told.append((step, numbers)),
            finish=lambda: told.append("finished"),
        )

    stand_in = types.ModuleType("wandb")
    stand_in.init, stand_in.Image = init, lambda picture: picture.shape
    monkeypatch.setitem(sys.modules, "wandb", stand_in)
    for _ in range(2):
        run = writers.WeightsAndBiases(tmp_path, project="clicks", config={"steps": 5})
    run.numbers(4, {"loss": 0.5})
    run.picture(5, PICTURE)
    run.close()
    assert told == [
        ("clicks", tmp_path.name, None, "allow", 5),
        ("clicks", tmp_path.name, "abc", "allow", 5),
        (4, {"training/loss": 0.5}),
        (5, {"pictures": (6, 8, 3)}),
        "finished",
    ]
