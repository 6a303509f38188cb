"""A run that is watched: validation, averages, pictures, curves, a trace; resumed too."""

import json

import cv2
import jax
import numpy as np
import pytest

import mst_jax
from mst_jax import train
from mst_jax.checkpoints import store
from mst_jax.evaluation import batched
from mst_jax.training.telemetry import CLOCKED
from tests.helpers.tensorboard_events import read_scalars
from tests.helpers.tiny_config import get_config
from tests.helpers.tiny_run import draw_scenes, metrics


def watched_config(data_dir):
    config = get_config()
    config.update(steps=8, average=0.5, accumulate=2, checkpoint_every=2, num_kept=1)
    config.data.data_dir = str(data_dir)
    config.watching.pictures_every = 3
    with config.unlocked():
        config.validation.update(
            name="shapes", limit=2, every=2, max_clicks=3, quality=80
        )
    return config


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    return watched_config(draw_scenes(tmp_path_factory.mktemp("data")))


@pytest.fixture(scope="module")
def watched(config, tmp_path_factory):
    """The workdir of a run, and how often something was compiled in each validation."""
    workdir = tmp_path_factory.mktemp("runs") / "watched"
    train.train(config, workdir, profile="4:5")
    return workdir


def test_validation_is_a_line_of_its_own_and_uses_the_average(watched, config):
    rows = metrics(watched)
    found = [row for row in rows if "validation_noc80" in row]
    assert [row["step"] for row in found] == [2, 4, 6, 8]
    assert all(1 <= row["validation_noc80"] <= 3 for row in found)
    # What is kept is what was measured.
    from mst_jax.data.dataset import open_source
    from mst_jax.data.targets import evaluation_targets

    source = open_source("shapes", config.data.data_dir, "validation")
    targets = list(evaluation_targets(source))[:2]
    view = {"zoom": 32, "zoom_min_side": 40, "max_clicks": 3}
    sessions = batched.simulate_many(
        mst_jax.load(watched), targets, num_lanes=1, **view
    )
    first = np.mean([session.ious[0] for _, session in sessions])
    np.testing.assert_allclose(found[-1]["validation_iou1"], first, atol=1e-5)


def test_the_best_checkpoint_is_kept_besides_the_newest(watched):
    found = {
        row["step"]: row["validation_noc80"]
        for row in metrics(watched)
        if "validation_noc80" in row
    }
    kept = {int(path.name) for path in (watched / store.CHECKPOINTS).glob("[0-9]*")}
    assert 8 in kept and len(kept) <= 2
    assert min(found[step] for step in kept) == min(found.values())


def test_pictures_curves_and_a_trace_are_there(watched):
    assert [path.name for path in sorted((watched / "pictures").iterdir())] == [
        "00000003.png",
        "00000006.png",
    ]
    picture = cv2.imread(str(watched / "pictures" / "00000006.png"))
    # Two examples in a row of three pictures each, 32 pixels six times enlarged.
    assert picture.shape == (6 * (2 * 32 + 4), 6 * (3 * 32 + 2 * 4), 3)
    assert list((watched / "profile").rglob("*.xplane.pb"))
    scalars = read_scalars(watched / "tensorboard")
    for row in metrics(watched):
        if "loss" in row:
            wanted = scalars[("training/loss", row["step"])]
            np.testing.assert_allclose(row["loss"], wanted, rtol=1e-6)
    tags = {tag for tag, _ in scalars}
    assert {"speed/waiting_share", "validation/noc80", "iou/iou"} < tags


def test_a_watched_run_goes_on_bit_equal(watched, config, tmp_path):
    """Stopped after step 3: its average, its lines and its validations are the same."""
    asked = iter(range(1, 100))
    train.train(config, tmp_path, should_stop=lambda: next(asked) == 3)
    train.train(config, tmp_path)
    assert metrics(tmp_path) == metrics(watched)
    one, two = mst_jax.load(tmp_path).params, mst_jax.load(watched).params
    jax.tree.map(np.testing.assert_array_equal, one, two)


@pytest.mark.parametrize(
    ("block", "changes", "sentence"),
    [
        ("validation", {"every": 3}, "every is 3, expected a multiple of .* 2"),
        ("validation", {"quality": 70}, "quality is 70, choose one of 80"),
        ("validation", {"limit": -1}, "limit is -1"),
        ("validation", {"name": "nothing"}, "nothing"),
        ("validation", {"splt": "val"}, "config.validation: .*splt"),
        ("watching", {"pictures_every": -1}, "pictures_every -1"),
    ],
)
def test_wrong_values_are_one_sentence_before_anything_is_written(
    config, tmp_path, block, changes, sentence
):
    config = config.copy_and_resolve_references()
    with config.unlocked():
        config[block].update(changes)
    with pytest.raises(ValueError, match=sentence):
        train.train(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_the_machine_tells_what_no_two_runs_agree_on(watched):
    lines = (watched / "metrics.jsonl").read_text().splitlines()
    told = set().union(*(json.loads(line) for line in lines))
    assert {"step_seconds", "waiting_share", "validation_seconds"} < told
    assert not set(CLOCKED) & set().union(*metrics(watched))
