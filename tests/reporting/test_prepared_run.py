"""A run is checked and described before anything is initialized or compiled."""

import pytest

from mst_jax.reporting.prepared_run import final_line, prepare_run
from mst_jax.reporting.training_progress import TrainingProgress
from tests.helpers.compile_events import compile_events
from tests.helpers.tiny_config import get_config
from tests.helpers.tiny_run import draw_scenes


def set_value(config, key, value):
    *blocks, name = key.split(".")
    for block in blocks:
        config = config[block]
    config[name] = value


@pytest.fixture
def config(tmp_path):
    config = get_config()
    config.data.data_dir = str(draw_scenes(tmp_path / "data"))
    return config


@pytest.fixture
def compiled_programs():
    """Events of the programs that are compiled while a test runs."""
    with compile_events() as events:
        yield events


def test_nothing_is_compiled_and_the_lines_are_written(
    config, tmp_path, capsys, compiled_programs
):
    progress = TrainingProgress(is_shown=True)
    prepared = prepare_run(config, tmp_path / "run", progress, profile="2:4")
    assert compiled_programs == []
    assert prepared.profile_range == (2, 4) and prepared.start is None
    names = [line.partition(":")[0] for line in capsys.readouterr().err.splitlines()]
    assert names[-6:] == ["devices", "data", "model", "start", "batch", "workdir"]
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        ("data.split", "nowhere", "'nowhere'"),
        ("data.name", "grabcut", "mst_jax.prepare grabcut"),
        ("validation.name", "grabcut", "mst_jax.prepare grabcut"),
        ("init_from", "gone.pth", "gone.pth"),
        ("init_from", "mst-small", "width 384, .* but the model has width 24"),
        ("model.size", "big", "no model size 'big'; choose one of nano"),
        ("losses.dise", 1.0, "dise; known losses: .*closest: dice"),
        (
            "data.target_sampling",
            {"merge_prb": 1},
            "merge_prb; it takes .*: merge_prob",
        ),
    ],
)
def test_what_is_wrong_is_named_before_anything_is_compiled(
    config, tmp_path, compiled_programs, key, value, sentence
):
    with config.unlocked():
        set_value(config, key, value)
    with pytest.raises(ValueError, match=sentence):
        prepare_run(
            config, tmp_path / "run", TrainingProgress(is_shown=False), profile=None
        )
    assert compiled_programs == []


def test_the_last_line_has_the_command_that_evaluates(config):
    config.data.data_dir = "data"
    command = "evaluate with: python -m mst_jax.evaluate --checkpoint runs/a --dataset"
    assert final_line(config, "runs/a") == (
        f"saved in runs/a, {command} shapes --data-dir data --out runs/a/clicks.json"
    )
    config.data.data_dir = config.validation.data_dir = "my data"
    config.validation.update(name="folder/mine", split="train[80%:]")
    assert final_line(config, "runs/a").endswith(
        f"{command} folder/mine --data-dir 'my data' --split 'train[80%:]' --out "
        "runs/a/clicks.json"
    )
