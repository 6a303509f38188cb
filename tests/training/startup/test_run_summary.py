"""The first lines of a run state numbers that follow from its config and its data."""

import dataclasses
from pathlib import Path

import jax
import numpy as np
import pytest

from mst_jax.checkpoints.parameter_mapping import ConversionReport
from mst_jax.models.warm_start import StartValues
from mst_jax.training.config import check_config
from mst_jax.training.startup import run_summary
from tests.helpers.tiny_config import get_config

OPTIONS = check_config(get_config())


class LabelMaps:
    """A dataset of label maps with two objects in each image."""

    def __init__(self, num_images):
        self.num_images, self.num_read = num_images, 0

    def __len__(self):
        return self.num_images

    def read_layers(self, index):
        assert 0 <= index < self.num_images
        self.num_read += 1
        return np.array([[[0, 1], [2, 2]]], np.uint16)


def positions(width):
    shape = (4, 4, width)
    return {"embed": {"positions": jax.ShapeDtypeStruct(shape, np.float32)}}


@pytest.mark.parametrize(
    ("num_images", "text", "num_read"),
    [(7, "7 images, 14 objects", 7), (8498, "8,498 images, about 17,000 objects", 50)],
)
def test_images_and_objects_are_counted(num_images, text, num_read):
    maps = LabelMaps(num_images)
    line = run_summary.describe_dataset(maps, name="sbd", split="train", data_dir="d")
    assert line == f"data: sbd, split train, in d: {text}"
    assert maps.num_read == num_read


def test_devices_have_a_number_and_a_kind(monkeypatch):
    kind = jax.devices()[0].device_kind
    assert run_summary.describe_devices() == f"devices: {jax.device_count()} x {kind}"
    monkeypatch.setattr(jax, "process_count", lambda: 4)
    assert run_summary.describe_devices().endswith(", 4 processes")


def test_the_model_and_its_parameters_are_described():
    line = run_summary.describe_model(OPTIONS, positions(96))
    assert line == (
        "model: simpleclick nano, 1,536 parameters, matrix products in float32"
    )


def test_the_start_is_random_a_file_or_a_checkpoint():
    describe = run_summary.describe_start
    assert describe(None, newest_step=None, workdir="r") == "start: random weights"
    assert describe(None, newest_step=8, workdir="r") == "start: resumes r after step 8"
    report = ConversionReport(("a",), (), ("p", "q"), ("r",), ("p resized",))
    line = describe(
        StartValues(Path("mae.pth"), {}, report), newest_step=None, workdir="r"
    )
    assert line.startswith("start: mae.pth: 1 arrays used; 2 parameters filled; ")
    assert line.endswith("; p resized") and "\n" not in line


def test_batch_steps_and_epochs(monkeypatch):
    monkeypatch.setattr(jax, "device_count", lambda: 1)
    line = run_summary.describe_steps(OPTIONS, num_images=6)
    assert line == "batch: 2 = 2 on the device; steps: 12 = 4 epochs"
    monkeypatch.setattr(jax, "device_count", lambda: 4)
    options = dataclasses.replace(OPTIONS, batch=32, grad_accum_steps=2, steps=1000)
    line = run_summary.describe_steps(options, num_images=320)
    assert line == (
        "batch: 32 = 4 on each of 4 devices, 2 times in a step; steps: 1,000 = 100 "
        "epochs"
    )


@pytest.mark.parametrize(
    ("model", "file"),
    [
        (dict(name="simpleclick", size="base"), "get mae_pretrain_vit_base.pth (link"),
        (
            dict(name="mst", size="huge"),
            "get SimpleClick's weights of size huge, or ma",
        ),
        (dict(name="mst", size="base", release="224"), "get mae_pretrain_vit_base.pth"),
        (dict(name="adaptiveclick"), "get mae_pretrain_vit_base.pth"),
    ],
)
def test_a_large_model_with_random_weights_is_warned_about(model, file):
    options = dataclasses.replace(OPTIONS, model=model)
    warning = run_summary.random_start_warning(options, positions(768))
    assert file in warning and "--config.init_from=FILE" in warning
    assert "learning rate 0.001" in warning


def test_a_model_made_for_random_weights_is_not_warned_about():
    assert run_summary.random_start_warning(OPTIONS, positions(192)) is None
