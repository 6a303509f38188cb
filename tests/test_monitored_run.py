"""A run with validation, moving average, images, curves and a trace; also resumed."""

import dataclasses
import json

import cv2
import jax
import numpy as np
import pytest
from ml_collections import FrozenConfigDict

import mst_jax
from mst_jax import train
from mst_jax.checkpoints import store
from mst_jax.data.dataset import open_dataset
from mst_jax.data.targets import evaluation_targets
from mst_jax.evaluation import EvaluationProtocol, simulate_batched
from mst_jax.interaction.inference_options import ZoomOptions
from mst_jax.training.config import check_config
from mst_jax.training.telemetry import MACHINE_METRICS
from tests.helpers.tensorboard_events import read_scalars
from tests.helpers.tiny_config import get_config
from tests.helpers.tiny_run import draw_scenes, read_metrics


def monitored_config(data_dir):
    config = get_config()
    config.update(steps=7, ema_decay=0.5, grad_accum_steps=2, checkpoint_every=2)
    config.update(keep_checkpoints=1)
    config.data.data_dir = str(data_dir)
    config.summaries.images_every = 3
    config.clicks.max_rounds = 0  # half the time to compile; other runs have rounds
    with config.unlocked():
        config.validation.update(
            name="shapes", limit=2, every=2, max_clicks=3, iou_percent=80
        )
    return config


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    return monitored_config(draw_scenes(tmp_path_factory.mktemp("data")))


@pytest.fixture(scope="module")
def workdir(config, tmp_path_factory):
    """The workdir of a finished run."""
    workdir = tmp_path_factory.mktemp("runs") / "monitored"
    train.train(config, workdir, profile="4:5")
    return workdir


def validation_rows(workdir):
    return [row for row in read_metrics(workdir) if "validation_noc80" in row]


def test_validation_has_its_own_lines_and_uses_the_moving_average(workdir, config):
    rows = validation_rows(workdir)
    assert [row["step"] for row in rows] == [2, 4, 6, 7]  # and after the last step
    assert all(1 <= row["validation_noc80"] <= 3 for row in rows)
    # The saved parameters are those that were validated.
    source = open_dataset("shapes", config.data.data_dir, "validation")
    targets = list(evaluation_targets(source))[:2]
    zoom = ZoomOptions(size=32, min_side=40)
    protocol = EvaluationProtocol(max_clicks=3, zoom=zoom)
    # The config of the validation: the same program runs.
    model_config = FrozenConfigDict({"model": dict(check_config(config).model)})
    model = dataclasses.replace(mst_jax.load(workdir), config=model_config)
    sessions = simulate_batched(model, targets, batch_size=1, protocol=protocol)
    iou1 = np.mean([session.ious[0] for _, session in sessions])
    np.testing.assert_allclose(rows[-1]["validation_iou1"], iou1, atol=1e-5)


def test_the_best_checkpoint_is_kept_besides_the_newest(workdir):
    nocs = {row["step"]: row["validation_noc80"] for row in validation_rows(workdir)}
    folders = (workdir / store.CHECKPOINTS_FOLDER).glob("[0-9]*")
    steps = {int(path.name) for path in folders}
    assert 7 in steps and len(steps) <= 2
    assert min(nocs[step] for step in steps) == min(nocs.values())


def test_images_curves_and_a_trace_are_written(workdir):
    image_names = [path.name for path in sorted((workdir / "images").iterdir())]
    assert image_names == ["00000003.png", "00000006.png"]
    image = cv2.imread(str(workdir / "images" / "00000006.png"))
    # Two examples in a row of three images each, 32 pixels six times enlarged.
    assert image.shape == (6 * (2 * 32 + 4), 6 * (3 * 32 + 2 * 4), 3)
    assert list((workdir / "profile").rglob("*.xplane.pb"))
    scalars = read_scalars(workdir / "tensorboard")
    for row in read_metrics(workdir):
        if "loss" in row:
            loss = scalars[("training/loss", row["step"])]
            np.testing.assert_allclose(row["loss"], loss, rtol=1e-6)
    tags = {tag for tag, _ in scalars}
    assert {"speed/input_wait_fraction", "validation/noc80", "iou/iou"} < tags


@pytest.mark.slow
def test_a_monitored_run_resumes_bit_exactly(workdir, config, tmp_path):
    """Stopped after step 3: its average, its lines and its validations are the same."""
    calls = iter(range(1, 100))
    train.train(config, tmp_path, should_stop=lambda: next(calls) == 3)
    train.train(config, tmp_path)
    assert read_metrics(tmp_path) == read_metrics(workdir)
    resumed, uninterrupted = mst_jax.load(tmp_path), mst_jax.load(workdir)
    jax.tree.map(np.testing.assert_array_equal, resumed.params, uninterrupted.params)


@pytest.mark.parametrize(
    ("block", "changes", "message"),
    [
        ("validation", {"every": 3}, "every is 3, expected a multiple of .* 2"),
        ("validation", {"iou_percent": 70}, "iou_percent is 70, choose one of 80"),
        ("validation", {"limit": -1}, "limit is -1"),
        ("validation", {"name": "nothing"}, "nothing"),
        ("validation", {"splt": "val"}, "config.validation .*splt"),
        ("summaries", {"images_every": -1}, "config.summaries: images_every is -1"),
    ],
)
def test_wrong_options_are_named_before_anything_is_written(
    config, tmp_path, block, changes, message
):
    config = config.copy_and_resolve_references()
    with config.unlocked():
        config[block].update(changes)
    with pytest.raises(ValueError, match=message):
        train.train(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_metrics_of_the_machine_are_logged(workdir):
    lines = (workdir / "metrics.jsonl").read_text().splitlines()
    names = set().union(*(json.loads(line) for line in lines))
    assert {"step_seconds", "input_wait_fraction", "validation_seconds"} < names
    assert not set(MACHINE_METRICS) & set().union(*read_metrics(workdir))
