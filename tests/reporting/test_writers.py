import json
import sys
import types

import cv2
import numpy as np
import pytest

from mst_jax.reporting import writers
from tests.helpers.tensorboard_events import read_events, read_scalars

IMAGE = np.zeros((6, 8, 3), np.uint8)
IMAGE[:3, :, 0] = 200
IMAGE[3:, :, 2] = 100


def test_the_folder_writer_drops_lines_of_steps_that_run_again(tmp_path):
    writer = writers.FolderWriter(tmp_path, start_step=0)
    for step in (1, 2):
        writer.write_metrics(step, {"loss": 0.5})
    writer.write_image(2, IMAGE)
    writer.close()
    image = cv2.imread(str(tmp_path / "images" / "00000002.png"))
    np.testing.assert_array_equal(image[..., ::-1], IMAGE)
    resumed = writers.FolderWriter(tmp_path, start_step=1)
    resumed.write_metrics(2, {"loss": 0.25})
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["loss"] for line in lines] == [0.5, 0.25]


def test_tensorboard_reads_metrics_and_images(tmp_path):
    writer = writers.TensorBoardWriter(tmp_path, start_step=0)
    writer.write_metrics(3, {"loss": 0.5, "iou_round1": 0.25, "step_seconds": 2.0})
    writer.write_metrics(4, {"validation_noc90": 7.5})
    writer.write_image(4, IMAGE)
    writer.close()
    assert read_scalars(tmp_path) == {
        ("training/loss", 3): 0.5,
        ("iou/iou_round1", 3): 0.25,
        ("speed/step_seconds", 3): 2.0,
        ("validation/noc90", 4): 7.5,
    }
    (encoded,) = (
        value.image.encoded_image_string
        for event in read_events(tmp_path)
        for value in event.summary.value
        if value.HasField("image")
    )
    image = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_COLOR)
    np.testing.assert_array_equal(image[..., ::-1], IMAGE)


def test_tensorboard_drops_events_of_steps_that_run_again(tmp_path):
    writers.TensorBoardWriter(tmp_path, start_step=7).close()
    starts = [event.step for event in read_events(tmp_path) if event.session_log.status]
    assert starts == [8]


def test_without_wandb_the_error_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(ValueError, match="pip install wandb"):
        writers.WandbWriter(tmp_path, project="clicks", config={})
    assert not list(tmp_path.iterdir())


def test_a_resumed_run_continues_its_wandb_run(tmp_path, monkeypatch):
    """A fake module records its calls; the arguments are those of the real one."""
    calls = []

    def init(*, project, name, id, resume, config):
        calls.append((project, name, id, resume, config["steps"]))
        return types.SimpleNamespace(
            id=id or "abc",
            log=lambda metrics, step: calls.append((step, metrics)),
            finish=lambda: calls.append("finished"),
        )

    fake_wandb = types.ModuleType("wandb")
    fake_wandb.init, fake_wandb.Image = init, lambda image: image.shape
    monkeypatch.setitem(sys.modules, "wandb", fake_wandb)
    for _ in range(2):
        writer = writers.WandbWriter(tmp_path, project="clicks", config={"steps": 5})
    writer.write_metrics(4, {"loss": 0.5})
    writer.write_image(5, IMAGE)
    writer.close()
    assert calls == [
        ("clicks", tmp_path.name, None, "allow", 5),
        ("clicks", tmp_path.name, "abc", "allow", 5),
        (4, {"training/loss": 0.5}),
        (5, {"images": (6, 8, 3)}),
        "finished",
    ]
